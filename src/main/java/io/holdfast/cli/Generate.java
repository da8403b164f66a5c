package io.holdfast.cli;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.data.Place;
import io.holdfast.model.Generation;
import io.holdfast.model.Generation.Sampling;
import io.holdfast.model.Generator;
import io.holdfast.model.Tap;
import io.holdfast.text.ChatTokenizer;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Continues prompts. */
@Command(
    name = "generate",
    description = "Continue prompts, many at a time; greedy unless a temperature is given.")
final class Generate implements Runnable {
  @Spec private CommandSpec spec;
  @Mixin private ModelOption model;
  @Mixin private OutputOption output;
  @Mixin private DeviceOption device;

  @ArgGroup(multiplicity = "1")
  private Source source;

  /** A file of rows, or one prompt. */
  static final class Source {
    @Option(
        names = {"-i", "--input"},
        paramLabel = "FILE",
        description = "Rows as JSON Lines.")
    private Path input;

    @Option(names = "--prompt", paramLabel = "TEXT", description = "One user turn.")
    private String prompt;
  }

  @Option(names = "--max-new-tokens", description = "Longest answer (default: ${DEFAULT-VALUE}).")
  private int maxNewTokens = 256;

  @Option(names = "--temperature", description = "Draw from the softmax at this temperature.")
  private Double temperature;

  @Option(names = "--top-p", description = "Draw from the smallest set of this probability.")
  private double topP = 1;

  @Option(names = "--top-k", description = "Draw from so many most probable tokens.")
  private int topK;

  @Option(names = "--seed", description = "Seed of the draws (default: ${DEFAULT-VALUE}).")
  private long seed = 42;

  @Option(names = "--ignore-eos", description = "Go on past the end of the text.")
  private boolean ignoreEos;

  @Option(names = "--raw", description = "Take --prompt as it is, without the chat template.")
  private boolean raw;

  @Option(names = "--batch-size", description = "Prompts at a time (default: ${DEFAULT-VALUE}).")
  private int batchSize = 16;

  @Override
  public void run() {
    device.require(Optional.empty());
    if (maxNewTokens < 1 || !(topP > 0 && topP <= 1) || topK < 0) {
      throw HoldfastException.usage(
          "--max-new-tokens is at least 1, --top-p in (0, 1], --top-k at least 0");
    }
    if (temperature != null && !(temperature > 0)) {
      throw HoldfastException.usage("--temperature: must be positive; leave it out for greedy");
    }
    var rows = rows();
    try (var decoder = model.load();
        var chat = ChatTokenizer.load(model.folder())) {
      var prompts = SequenceReader.read(rows, model.folder(), decoder.architecture().vocabulary());
      Set<Integer> stops = ignoreEos ? Set.of() : chat.tokenizer().endOfText();
      Sampling sampling =
          temperature == null
              ? new Sampling.Greedy()
              : new Sampling.Random(temperature, topK, topP, 0, seed);
      var answers =
          new Generator(decoder, Tap.NONE, batchSize)
              .generate(prompts, new Generation(maxNewTokens, stops, sampling));
      if (source.prompt != null) {
        spec.commandLine()
            .getOut()
            .println(chat.tokenizer().decode(answers.getFirst().ids(), true));
        return;
      }
      output.writeLines(
          IntStream.range(0, rows.size()).mapToObj(i -> line(rows.get(i), answers.get(i), chat)));
    }
  }

  private List<InputOption.Row> rows() {
    if (source.input != null) {
      return InputOption.rows(source.input);
    }
    var row = JsonNodeFactory.instance.objectNode();
    row.put("id", "prompt");
    if (raw) {
      row.put("text", source.prompt);
    } else {
      row.putArray("messages").addObject().put("role", "user").put("content", source.prompt);
      row.put("add_generation_prompt", true);
    }
    return List.of(new InputOption.Row(row, new Place(Path.of("--prompt"), 1)));
  }

  private static ObjectNode line(
      InputOption.Row row, Generator.Continuation answer, ChatTokenizer chat) {
    var line = JsonNodeFactory.instance.objectNode();
    line.set("id", row.id());
    var tokens = line.putArray("tokens");
    for (int id : answer.ids()) {
      tokens.add(id);
    }
    line.put("text", chat.tokenizer().decode(answer.ids(), true));
    return line.put("finish", answer.stopped() ? "stop" : "length");
  }
}
