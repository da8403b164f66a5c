package io.holdfast.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.attack.Replay;
import io.holdfast.attack.TestCases;
import io.holdfast.attack.TransferMatrix;
import io.holdfast.attack.TransferMatrix.Pair;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.eval.Outcome;
import io.holdfast.model.Decoder;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.Progress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** Test cases of some models, replayed on others. */
@Command(
    name = "transfer",
    description = {
      "Replay the test cases that were found on some models on others; write a matrix of attack"
          + " success.",
      "The matrix is written after every model; --resume leaves out what it holds."
    })
final class TransferCommand implements Runnable {
  private static final ObjectMapper JSON = new ObjectMapper();

  @Spec private CommandSpec spec;
  @ParentCommand private Attack parent;
  @Mixin private CasesOption cases;
  @Mixin private DeviceOption device;

  @Option(
      names = "--strings",
      paramLabel = "NAME=PATH",
      required = true,
      description = "Folder of an attack, or its test_cases.json, named after its model; repeat.")
  private Map<String, Path> strings;

  @Option(
      names = "--model",
      paramLabel = "NAME=DIR",
      required = true,
      description = "Hugging Face folder to replay them on; repeat.")
  private Map<String, Path> models;

  @Option(
      names = "--pair",
      paramLabel = "SOURCE:TARGET",
      description = "Only this cell of the matrix; may be repeated (default: all).")
  private List<String> pairs = List.of();

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FILE.json",
      required = true,
      description = "The matrix; a .csv of the same name is written beside it.")
  private Path output;

  @Option(names = "--resume", description = "Leave out the cells that the file holds.")
  private boolean resume;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      description = "Prompts at a time (default: ${DEFAULT-VALUE}).")
  private int batch = 32;

  @Override
  public void run() {
    device.require();
    var wanted = wanted();
    var asked = cases.read();
    var replay = new Replay(cases.judge(), cases.newTokens(), batch);
    var matrix = resume ? read() : new TransferMatrix();
    wanted.removeIf(pair -> matrix.get(pair).isPresent());
    try (var progress = Progress.start("transfer", wanted.size(), parent.progress())) {
      int done = 0;
      for (var target : models.entrySet()) {
        var own = wanted.stream().filter(pair -> pair.target().equals(target.getKey())).toList();
        if (own.isEmpty()) {
          continue;
        }
        try (var decoder = Decoder.loadAsStored(target.getValue());
            var chat = ChatTokenizer.load(target.getValue())) {
          for (var pair : own) {
            var found = TestCases.read(strings.get(pair.source()));
            matrix.put(pair, Replay.tally(replay.answers(decoder, chat, asked, found)));
            progress.at(++done, pair.source() + " on " + pair.target());
          }
        }
        write(matrix);
      }
    }
    write(matrix);
    matrix
        .cells()
        .forEach(
            (pair, outcomes) ->
                spec.commandLine()
                    .getOut()
                    .printf(
                        "%s on %s: %s of %d%n",
                        pair.source(), pair.target(), outcomes.rate(Outcome.COMPLY), outcomes.n()));
  }

  private List<Pair> wanted() {
    var all = new ArrayList<Pair>();
    if (pairs.isEmpty()) {
      models.keySet().forEach(to -> strings.keySet().forEach(from -> all.add(new Pair(from, to))));
    }
    for (var pair : pairs) {
      var names = pair.split(":", 2);
      if (names.length < 2 || !strings.containsKey(names[0]) || !models.containsKey(names[1])) {
        throw HoldfastException.usage(
            "--pair: '%s' is not SOURCE:TARGET with a source of %s and a target of %s",
            pair, strings.keySet(), models.keySet());
      }
      all.add(new Pair(names[0], names[1]));
    }
    return all;
  }

  private TransferMatrix read() {
    if (!Files.exists(output)) {
      return new TransferMatrix();
    }
    try {
      return TransferMatrix.of((ObjectNode) JSON.readTree(output.toFile()));
    } catch (IOException | ClassCastException | NullPointerException e) {
      throw HoldfastException.input(
          "%s: is not a matrix that transfer wrote; name another file", output);
    }
  }

  private void write(TransferMatrix matrix) {
    var json = matrix.json();
    json.put("judge", cases.judgeName()).put("max_new_tokens", cases.newTokens());
    AtomicFile.write(output, json.toPrettyString() + "\n");
    var csv = output.getFileName().toString().replaceFirst("\\.json$", "") + ".csv";
    AtomicFile.write(output.resolveSibling(csv), matrix.csv());
  }
}
