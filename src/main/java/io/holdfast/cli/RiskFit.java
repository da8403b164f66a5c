package io.holdfast.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.Sha256;
import io.holdfast.data.ExampleReader;
import io.holdfast.data.RowReader;
import io.holdfast.geometry.Estimate;
import io.holdfast.risk.PredictorFit;
import io.holdfast.risk.PredictorFit.Report;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.text.Position;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Fits a classifier of prompts to a model's activations. */
@Command(
    name = "fit",
    description =
        "Fit a risk predictor: layer, position and classifier are chosen by cross-validation, the"
            + " report is of prompts that no choice has seen. Writes FILE.safetensors and, beside"
            + " it, FILE.json.")
final class RiskFit implements Runnable {
  @Spec private CommandSpec spec;
  @Mixin private ModelOption model;
  @Mixin private DeviceOption device;

  @Option(
      names = "--harmful",
      paramLabel = "FILE",
      required = true,
      description = "Prompts that should be refused, as messages.")
  private Path harmful;

  @Option(
      names = "--benign",
      paramLabel = "FILE",
      required = true,
      description = "Prompts that should be answered, as messages.")
  private Path benign;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FILE",
      required = true,
      description = "Where the predictor goes; a name that ends in .safetensors.")
  private Path output;

  @Option(
      names = "--layers",
      paramLabel = "L",
      description = "Layers to try, as for activations (default: ${DEFAULT-VALUE}).")
  private String layers = "all";

  @Option(
      names = "--positions",
      paramLabel = "P",
      split = ",",
      description = "Tokens to try: instruction_end, prompt_end (default: both).")
  private List<Position> positions = List.of(Position.INSTRUCTION_END, Position.PROMPT_END);

  @Option(names = "--folds", description = "Of the cross-validation (default: ${DEFAULT-VALUE}).")
  private int folds = 5;

  @Option(
      names = "--test-share",
      description = "Share of the prompts kept for the report (default: ${DEFAULT-VALUE}).")
  private double testShare = 0.25;

  @Option(
      names = "--recall",
      description = "Recall that the threshold shall have (default: ${DEFAULT-VALUE}).")
  private double recall = 0.95;

  @Option(
      names = "--shuffles",
      description = "Fits with shuffled labels, as a control (default: ${DEFAULT-VALUE}).")
  private int shuffles = 20;

  @Option(names = "--seed", description = "Of splits and draws (default: ${DEFAULT-VALUE}).")
  private long seed = 0;

  @Override
  public void run() {
    device.require();
    if (!output.toString().endsWith(".safetensors")) {
      throw HoldfastException.usage("--output %s: must end in .safetensors", output);
    }
    for (var position : positions) {
      if (position != Position.INSTRUCTION_END && position != Position.PROMPT_END) {
        throw HoldfastException.usage(
            "--positions: %s is not before the answer; allowed are instruction_end and prompt_end",
            name(position));
      }
    }
    String modelHash;
    try (var files = ModelFolder.open(model.folder())) {
      modelHash = files.hash();
    }
    try (var decoder = model.load();
        var chat = ChatTokenizer.load(model.folder())) {
      var settings =
          new PredictorFit.Settings(
              LayerList.parse(layers, decoder.architecture().depth()),
              positions,
              folds,
              testShare,
              recall,
              shuffles,
              seed);
      var reader =
          new ExampleReader(
              new RowReader(chat),
              ExampleReader.LossOn.COMPLETION,
              decoder.architecture().maxPositions(),
              Optional.empty());
      var result =
          PredictorFit.fit(
              decoder,
              reader.readPrompts(harmful),
              reader.readPrompts(benign),
              settings,
              modelHash);
      var data = Sha256.of(List.of(harmful, benign));
      result.predictor().save(output, Map.of("data", data));
      var report = json(result.report(), modelHash, data);
      AtomicFile.write(beside(output), report.toPrettyString() + "\n");
      print(result.report(), spec.commandLine().getOut());
    }
  }

  private static Path beside(Path output) {
    var name = output.getFileName().toString().replaceAll("\\.safetensors$", ".json");
    return output.resolveSibling(name);
  }

  private static String name(Position position) {
    return position.name().toLowerCase(Locale.ROOT);
  }

  private ObjectNode json(Report report, String modelHash, String data) {
    var mapper = new ObjectMapper();
    var json = mapper.createObjectNode();
    json.put("model_sha256", modelHash);
    json.put("harmful", harmful.toString()).put("benign", benign.toString());
    json.put("data_sha256", data);
    json.put("seed", seed);
    json.setAll(candidate(report.chosen(), mapper));
    json.set("trained", mapper.valueToTree(report.trained()));
    json.set("tested", mapper.valueToTree(report.tested()));
    json.set("auroc", mapper.valueToTree(report.auroc()));
    json.put("shuffled_auroc", report.shuffledAuroc());
    json.put("shuffled_auroc_highest", report.shuffledHighest());
    json.set("calibration_error", mapper.valueToTree(report.calibrationError()));
    json.set("reliability", mapper.valueToTree(report.reliability()));
    json.put("wanted_recall", recall);
    json.put("threshold", report.threshold());
    json.set("recall", mapper.valueToTree(report.recall()));
    json.set("false_positives", mapper.valueToTree(report.falsePositives()));
    var all = json.putArray("candidates");
    report.candidates().forEach(one -> all.add(candidate(one, mapper)));
    return json;
  }

  private static ObjectNode candidate(PredictorFit.Candidate one, ObjectMapper mapper) {
    var json = mapper.createObjectNode();
    json.put("layer", one.layer()).put("position", name(one.position())).put("kind", one.kind());
    json.put("ridge", one.ridge());
    json.put("cross_validated_auroc", one.auroc());
    json.put("cross_validated_log_loss", one.logLoss());
    return json;
  }

  private void print(Report report, PrintWriter out) {
    var chosen = report.chosen();
    out.printf(
        "predictor    %s at layer %d, %s, ridge %s%n",
        chosen.kind(), chosen.layer(), name(chosen.position()), chosen.ridge());
    out.printf(
        "chosen       of %d candidates on %d + %d prompts, tested on %d + %d others%n",
        report.candidates().size(),
        report.trained()[0],
        report.trained()[1],
        report.tested()[0],
        report.tested()[1]);
    out.printf(
        Locale.ROOT,
        "AUROC        %s; with shuffled labels %.3f, at most %.3f%n",
        interval(report.auroc()),
        report.shuffledAuroc(),
        report.shuffledHighest());
    out.printf("calibration  error %s%n", interval(report.calibrationError()));
    report.reliability().stream()
        .filter(bin -> bin.count() > 0)
        .forEach(
            bin ->
                out.printf(
                    Locale.ROOT,
                    "  %.1f to %.1f  %4d prompts, predicted %.3f, harmful %.3f%n",
                    bin.low(),
                    bin.high(),
                    bin.count(),
                    bin.predicted(),
                    bin.observed()));
    out.printf(
        Locale.ROOT,
        "threshold    %.3f for recall %s: recall %s, false positives %s%n",
        report.threshold(),
        recall,
        interval(report.recall()),
        interval(report.falsePositives()));
  }

  private static String interval(Estimate estimate) {
    return "%.3f (%.3f to %.3f)".formatted(estimate.value(), estimate.low(), estimate.high());
  }
}
