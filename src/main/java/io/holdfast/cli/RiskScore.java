package io.holdfast.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.data.Columns;
import io.holdfast.data.ExampleReader;
import io.holdfast.data.RowReader;
import io.holdfast.data.Rows;
import io.holdfast.eval.GateExpression;
import io.holdfast.model.Decoder;
import io.holdfast.risk.Exchange;
import io.holdfast.risk.RiskPredictor;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.Progress;
import io.holdfast.train.config.RiskConfig;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Spliterators;
import java.util.stream.Gatherers;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** Writes rows with their risk. */
@Command(
    name = "score",
    description =
        "Write rows with their risk, 0 to 1, in a field of its own: by a critic that reads request"
            + " and answer, or by a predictor that reads the model's activations on the prompt.")
final class RiskScore implements Runnable {
  private static final int TOGETHER = 256;

  @Spec private CommandSpec spec;
  @ParentCommand private Risk parent;
  @Mixin private InputOption input;
  @Mixin private OutputOption output;
  @Mixin private DeviceOption device;

  @ArgGroup(multiplicity = "1")
  private Source source;

  /** Who says how dangerous a row is. */
  static final class Source {
    @Option(
        names = "--critic",
        paramLabel = "FILE",
        description = "YAML with the keys of guard.risk.critic: url, model, key_env, ...")
    private Path critic;

    @ArgGroup(exclusive = false)
    private Predictor predictor;
  }

  /** A predictor and its model. */
  static final class Predictor {
    @Option(
        names = "--predictor",
        paramLabel = "FILE",
        required = true,
        description = "What risk fit wrote.")
    private Path file;

    @Option(
        names = {"-m", "--model"},
        paramLabel = "DIR",
        required = true,
        description = "Hugging Face folder of the model that it was fitted on.")
    private Path model;

    @Option(names = "--hard", description = "1 from the predictor's threshold on, else 0.")
    private boolean hard;
  }

  @Option(
      names = "--column",
      paramLabel = "NAME",
      description = "Field that takes the risk (default: ${DEFAULT-VALUE}).")
  private String column = "risk";

  @Option(
      names = "--fail-if",
      paramLabel = "GATE",
      description =
          "End with exit code 6 when this holds, such as 'failed>0.01': failed is the share of rows"
              + " without a score, mean_risk the mean of all. Rows are written all the same.")
  private List<String> failIf = List.of();

  @Override
  public void run() {
    device.require();
    var gates = failIf.stream().map(GateExpression::parse).toList();
    var tally = new Tally();
    if (source.critic != null) {
      criticise(tally);
    } else {
      predict(tally);
    }
    GateExpression.requirePassed(gates, tally.numbers(), "the rows are written");
  }

  private static final class Tally {
    private long rows;
    private long failed;
    private double sum;

    Map<String, Double> numbers() {
      return Map.of("failed", failed / (double) rows, "mean_risk", sum / rows);
    }
  }

  private int count() {
    try (var rows = InputOption.stream(input.file())) {
      return Math.toIntExact(rows.mapToInt(row -> 1).summaryStatistics().getCount());
    }
  }

  private void criticise(Tally tally) {
    var config = RiskConfig.Critic.load(source.critic);
    var cache = source.critic.resolveSibling(source.critic.getFileName() + ".scores.jsonl");
    var reader = new RowReader(null, Columns.AS_THEY_ARE);
    int count = count();
    try (var critic = config.open(cache);
        var rows = InputOption.stream(input.file());
        var progress = Progress.start("risk", count, parent.progress())) {
      var waiting = new ArrayDeque<ObjectNode>();
      output.write(
          lines ->
              critic
                  .rate(rows.map(row -> exchange(row, reader, waiting)))
                  .forEachOrdered(
                      verdict -> {
                        var row = waiting.remove();
                        verdict.failed().ifPresent(f -> row.put(column + "_failure", f.why()));
                        add(row, verdict.risk(), lines, tally);
                        tally.failed += verdict.failed().isPresent() ? 1 : 0;
                        progress.at(tally.rows, "");
                      }));
      spec.commandLine().getErr().println("holdfast: " + critic.report().summary());
    }
  }

  private static Exchange exchange(
      InputOption.Row row, RowReader reader, ArrayDeque<ObjectNode> waiting) {
    waiting.add(row.content());
    return Exchange.of(reader.row(row.content(), row.place()))
        .orElseThrow(
            () -> row.place().bad("a critic reads text; give this row as messages or as text"));
  }

  private void add(ObjectNode row, float risk, OutputOption.Lines lines, Tally tally) {
    // A float's own digits: 0.3, not 0.30000001192092896.
    row.put(column, Double.parseDouble(Float.toString(risk)));
    lines.add(row);
    tally.rows++;
    tally.sum += risk;
  }

  private void predict(Tally tally) {
    String hash;
    try (var files = ModelFolder.open(source.predictor.model)) {
      hash = files.hash();
    }
    int count = count();
    try (var decoder = Decoder.loadAsStored(source.predictor.model);
        var chat = ChatTokenizer.load(source.predictor.model);
        var rows = Rows.open(input.file());
        var progress = Progress.start("risk", count, parent.progress())) {
      var predictor =
          RiskPredictor.load(source.predictor.file, hash, decoder).hard(source.predictor.hard);
      var reader =
          new ExampleReader(
              new RowReader(chat),
              ExampleReader.LossOn.ALL,
              decoder.architecture().maxPositions(),
              Optional.empty());
      output.write(
          lines ->
              stream(rows)
                  .gather(Gatherers.windowFixed(TOGETHER))
                  .forEachOrdered(
                      some -> {
                        var examples =
                            some.stream()
                                .map(row -> reader.example(asked(row.json()), row.place()))
                                .toList();
                        float[] risks = predictor.risks(decoder, examples);
                        for (int i = 0; i < risks.length; i++) {
                          add(some.get(i).json(), risks[i], lines, tally);
                        }
                        progress.at(tally.rows, "");
                      }));
    }
  }

  /** A conversation that nobody has answered is read where the answer would begin. */
  private static ObjectNode asked(ObjectNode row) {
    var turns = row.path("messages");
    boolean open =
        !turns.isEmpty() && !turns.get(turns.size() - 1).path("role").asText().equals("assistant");
    return open ? row.deepCopy().put("add_generation_prompt", true) : row;
  }

  private static Stream<Rows.Row> stream(Rows rows) {
    return StreamSupport.stream(Spliterators.spliteratorUnknownSize(rows, 0), false);
  }
}
