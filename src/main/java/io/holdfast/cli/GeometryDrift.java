package io.holdfast.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.cli.study.Checkpoint;
import io.holdfast.data.Example;
import io.holdfast.data.ExampleReader;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.guard.SubspaceFit;
import io.holdfast.model.Decoder;
import io.holdfast.report.Table;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.Checkpoints;
import io.holdfast.train.DriftLines;
import io.holdfast.train.Progress;
import io.holdfast.train.TrainingData;
import io.holdfast.train.config.TrainConfig;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** How runs moved the states of safety prompts. */
@Command(
    name = "drift",
    description =
        "Measure, at every layer and along the checkpoints of runs, how the states of harmful and"
            + " benign prompts move from the start of the run, and how much the task's gradient"
            + " interferes with the safety subspace there. Prints a table of each run's last"
            + " checkpoint.")
final class GeometryDrift implements Runnable {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final List<String> COLUMNS =
      List.of(
          "relative",
          "safety_share",
          "direction",
          "cone_axis",
          "cka",
          "procrustes",
          "distortion",
          "relocation",
          "interference");

  @Spec private CommandSpec spec;
  @ParentCommand private Geometry group;
  @Mixin private ContrastOption contrast;
  @Mixin private DeviceOption device;

  @Parameters(arity = "1..*", paramLabel = "RUN", description = "Run folders.")
  private List<Path> runs;

  @Option(
      names = "--basis",
      paramLabel = "FILE",
      description =
          "Safety subspace of the runs' model (geometry fit); fitted to the contrast if not given.")
  private Path basis;

  @Option(
      names = "--rank",
      paramLabel = "K",
      description = "Directions per layer where it is fitted (default: ${DEFAULT-VALUE}).")
  private int rank = 16;

  @Option(
      names = "--rows",
      paramLabel = "N",
      description =
          "Training rows whose gradient is looked at, 0 for none (default: ${DEFAULT-VALUE}).")
  private int rows = 32;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FILE",
      description = "Where a line for every run, checkpoint, layer and position goes.")
  private Path output;

  @Override
  public void run() {
    device.require();
    var lines = new ArrayList<ObjectNode>();
    var table = new ArrayList<List<String>>();
    try (var progress = Progress.start("drift", runs.size(), group.progress())) {
      for (int i = 0; i < runs.size(); i++) {
        var found = measure(runs.get(i), lines);
        found.stream()
            .filter(line -> line.get("position").asText().equals("prompt_end"))
            .forEach(line -> table.add(row(line)));
        progress.at(i + 1, runs.get(i).toString());
      }
    }
    if (output != null) {
      OutputOption.writeLines(output, lines);
    }
    var head = new ArrayList<>(List.of("run", "step", "layer"));
    head.addAll(COLUMNS);
    spec.commandLine().getOut().print(new Table(head, table).markdown());
  }

  /** All lines of a run go to the list; those of its last checkpoint are returned. */
  private List<ObjectNode> measure(Path run, List<ObjectNode> lines) {
    var file = run.resolve("run.yaml");
    if (!Files.isRegularFile(file)) {
      throw HoldfastException.input("%s: there is no run.yaml; name the folder of a run", run);
    }
    var config = TrainConfig.load(file, List.of());
    var checkpoints = new Checkpoints(run, 0).all();
    if (checkpoints.isEmpty()) {
      throw HoldfastException.input("%s: the run has no checkpoint", run);
    }
    try (var reference = Decoder.load(config.model());
        var chat = ChatTokenizer.load(config.model())) {
      var classes = contrast.read(reference, chat, false);
      try (var report =
          new DriftLines(
              reference,
              subspace(config, reference, classes),
              classes.refused(),
              classes.answered(),
              task(config, chat))) {
        var last = List.<ObjectNode>of();
        for (var checkpoint : checkpoints) {
          last = new ArrayList<>();
          long step = Checkpoints.state(checkpoint).get("step").asLong();
          try (var model = new Checkpoint("step " + step, checkpoint, config.model()).load()) {
            for (var line : report.of(model)) {
              var whole = JSON.createObjectNode().put("run", run.toString()).put("step", step);
              last.add(whole.setAll(line));
            }
          }
          lines.addAll(last);
        }
        return last;
      }
    }
  }

  private SafetySubspace subspace(
      TrainConfig config, Decoder reference, ContrastOption.Contrast classes) {
    try (var files = ModelFolder.open(config.model())) {
      if (basis != null) {
        return SafetySubspace.load(basis, files.hash());
      }
      int depth = reference.architecture().depth();
      return SubspaceFit.fit(
          reference,
          classes.refused(),
          classes.answered(),
          IntStream.rangeClosed(1, depth).boxed().toList(),
          rank,
          files.hash());
    }
  }

  private List<Example> task(TrainConfig config, ChatTokenizer chat) {
    var some = new ArrayList<Example>();
    if (rows > 0) {
      ExampleReader reader = TrainingData.reader(config, chat);
      reader.read(config.data().train(), rows, some::add);
    }
    return some;
  }

  private static List<String> row(ObjectNode line) {
    var cells = new ArrayList<String>();
    cells.add(line.get("run").asText());
    cells.add(line.get("step").asText());
    cells.add(line.get("layer").asText());
    for (var column : COLUMNS) {
      var value = line.path(column);
      cells.add(value.isNumber() ? "%.3f".formatted(value.asDouble()) : "-");
    }
    return cells;
  }
}
