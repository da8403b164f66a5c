package io.holdfast.cli;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.data.Place;
import io.holdfast.model.Decoder;
import io.holdfast.model.Generation;
import io.holdfast.model.Generator;
import io.holdfast.model.Tap;
import io.holdfast.text.StopStrings;
import io.holdfast.train.Progress;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.Stream;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** Continues prompts. */
@Command(
    name = "generate",
    description = {
      "Continue prompts, many at a time; greedy unless a temperature is given.",
      "Of generation_config.json only the tokens that end a text are read: what it says of sampling"
          + " is not applied."
    })
final class Generate implements Runnable {
  @Spec private CommandSpec spec;
  @ParentCommand private Holdfast root;
  @Mixin private ModelOption model;
  @Mixin private OutputOption output;
  @Mixin private SamplingOptions sampling;
  @Mixin private DeviceOption device;

  @ArgGroup(multiplicity = "1")
  private Source source;

  /** A file of rows, or one prompt. */
  static final class Source {
    @Option(
        names = {"-i", "--input"},
        paramLabel = "FILE",
        description = "Rows: .jsonl, .json, .csv, .tsv or .parquet.")
    private Path input;

    @Option(names = "--prompt", paramLabel = "TEXT", description = "One user turn.")
    private String prompt;
  }

  @Option(
      names = "--max-new-tokens",
      paramLabel = "N",
      description = "Longest answer (default: ${DEFAULT-VALUE}).")
  private int maxNewTokens = 256;

  @Option(
      names = "--stop",
      paramLabel = "TEXT",
      description =
          "End where the answer contains this text; may be given several times. The answer's text"
              + " stops before it, its tokens hold it.")
  private List<String> stop = List.of();

  @Option(names = "--ignore-eos", description = "Go on past the end of the text.")
  private boolean ignoreEos;

  @Option(
      names = "--logprobs",
      description = "Also write the model's log-probability of each new token, as score has it.")
  private boolean logprobs;

  @Option(names = "--raw", description = "Take --prompt as it is, without the chat template.")
  private boolean raw;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      description = "Prompts at a time (default: ${DEFAULT-VALUE}).")
  private int batchSize = 16;

  @Override
  public void run() {
    device.require();
    if (maxNewTokens < 1 || batchSize < 1) {
      throw HoldfastException.usage("--max-new-tokens and --batch-size are at least 1");
    }
    if (stop.contains("")) {
      throw HoldfastException.usage("--stop: an empty text would end every answer at once");
    }
    var chosen = sampling.sampling();
    try (var decoder = model.load();
        var rows = new Sequences(rows(), model.folder(), decoder.architecture().vocabulary())) {
      int count = check(rows, decoder.architecture().maxPositions());
      var tokenizer = rows.chat().tokenizer();
      var settings =
          new Generation(
              maxNewTokens,
              ignoreEos ? Set.of() : tokenizer.endOfText(),
              new StopStrings(stop, tokenizer),
              sampling.repetitionPenalty(),
              chosen,
              logprobs);
      if (source.prompt == null) {
        write(rows, count, decoder, settings);
      } else {
        print(rows, decoder, settings);
      }
    }
  }

  private static int check(Sequences rows, int positions) {
    return rows.check(
        row -> {
          if (row.ids().length >= positions) {
            throw row.place()
                .bad(
                    "the prompt has %d tokens, the model was made for %d (max_position_embeddings)"
                        + " and an answer needs some; shorten it",
                    row.ids().length, positions);
          }
        });
  }

  private void write(Sequences rows, int count, Decoder decoder, Generation settings) {
    try (var prompts = rows.stream();
        var progress = Progress.start("generate", count, root.progress())) {
      int[] done = {0};
      long[] tokens = {0};
      long start = System.nanoTime();
      int positions = decoder.architecture().maxPositions();
      output.write(
          lines ->
              new Generator(decoder, Tap.NONE, batchSize)
                  .generate(
                      prompts.iterator(),
                      Sequences.Sequence::ids,
                      settings,
                      (row, answer) -> {
                        lines.add(line(row, answer, settings));
                        if (row.ids().length + answer.ids().length > positions) {
                          progress.say(
                              "warning: %s was continued beyond the %d tokens that the model was made for"
                                  .formatted(row.place(), positions));
                        }
                        tokens[0] += answer.ids().length;
                        double seconds = (System.nanoTime() - start) / 1e9;
                        progress.at(
                            ++done[0],
                            String.format(Locale.ROOT, "%.1f tokens/s", tokens[0] / seconds));
                      }));
    }
  }

  private void print(Sequences rows, Decoder decoder, Generation settings) {
    try (var prompt = rows.stream()) {
      var ids = prompt.map(Sequences.Sequence::ids).toList();
      var answer = new Generator(decoder, Tap.NONE, 1).generate(ids, settings).getFirst();
      spec.commandLine().getOut().println(text(answer, settings.stopStrings()));
    }
  }

  private Supplier<Stream<InputOption.Row>> rows() {
    if (source.input != null) {
      return () -> InputOption.stream(source.input);
    }
    var row = JsonNodeFactory.instance.objectNode();
    if (raw) {
      row.put("text", source.prompt);
    } else {
      row.putArray("messages").addObject().put("role", "user").put("content", source.prompt);
      row.put("add_generation_prompt", true);
    }
    return () -> Stream.of(new InputOption.Row(row, new Place(Path.of("--prompt"), 1)));
  }

  private static ObjectNode line(
      Sequences.Sequence row, Generator.Continuation answer, Generation settings) {
    var line = JsonNodeFactory.instance.objectNode();
    line.set("id", row.id());
    var tokens = line.putArray("tokens");
    for (int id : answer.ids()) {
      tokens.add(id);
    }
    line.put("text", text(answer, settings.stopStrings()));
    line.put("finish", answer.stopped() ? "stop" : "length");
    if (settings.logprobs()) {
      var logprobs = line.putArray("logprobs");
      for (float logprob : answer.logprobs()) {
        logprobs.add(logprob);
      }
    }
    return line;
  }

  private static String text(Generator.Continuation answer, StopStrings stops) {
    return stops.before(stops.tokenizer().decode(answer.ids(), true));
  }
}
