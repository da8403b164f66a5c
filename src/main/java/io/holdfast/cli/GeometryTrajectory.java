package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.cli.study.Checkpoint;
import io.holdfast.cli.study.StudyContext;
import io.holdfast.cli.study.StudyFiles;
import io.holdfast.cli.study.StudyTables;
import io.holdfast.cli.study.Trajectory;
import io.holdfast.model.Architecture;
import io.holdfast.text.ChatTokenizer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Geometry and behaviour along the checkpoints of a run. */
@Command(
    name = "trajectory",
    description =
        "Measure the checkpoints of a run one after another, with the model it started from as the"
            + " reference, and correlate geometry with behaviour. What is measured is kept: a study"
            + " that was interrupted goes on where it stopped.")
final class GeometryTrajectory implements Runnable {
  @Spec private CommandSpec spec;
  @Mixin private StudyOption study;
  @Mixin private MeasureOption measures;
  @Mixin private DeviceOption device;

  @Option(
      names = {"-m", "--model"},
      paramLabel = "DIR",
      required = true,
      description = "The model that the run started from, a Hugging Face folder.")
  private Path model;

  @Option(names = "--run", paramLabel = "DIR", description = "A run folder of train.")
  private Path run;

  @Parameters(
      paramLabel = "DIR",
      arity = "0..*",
      description = "Instead of a run: checkpoints in their order, models or adapters.")
  private List<Path> folders = List.of();

  @Option(
      names = {"-o", "--output"},
      paramLabel = "DIR",
      required = true,
      description = "Where trajectory.json, trajectory.csv and the parts go.")
  private Path output;

  @Override
  public void run() {
    device.require();
    if ((run == null) == folders.isEmpty()) {
      throw HoldfastException.usage("give --run DIR or the folders of checkpoints, one of the two");
    }
    var prompts = study.read();
    try (var chat = ChatTokenizer.load(model)) {
      var work = measures.study(chat, study.seed(), study.maxNewTokens());
      var reference = new Checkpoint("reference", model, model);
      try (var context =
          new StudyContext(
              reference, prompts, work, study.score(vocabulary()), output.resolve("parts"))) {
        var name = run == null ? "checkpoints" : run.getFileName().toString();
        var followed = Trajectory.follow(name, checkpoints(name), context);
        var json = followed.json(work.settings().draws(), work.settings().seed());
        AtomicFile.write(output.resolve("trajectory.json"), json.toPrettyString() + "\n");
        AtomicFile.write(
            output.resolve("trajectory.csv"),
            StudyFiles.figuresCsv("checkpoint", followed.points()));
        var out = spec.commandLine().getOut();
        out.print(StudyTables.trajectory(followed).markdown());
        out.println();
        out.print(StudyTables.correlations(json).markdown());
        StudyTables.flags(followed).forEach(flag -> out.println("note: " + flag));
      }
    }
  }

  private int vocabulary() {
    try (var files = ModelFolder.open(model)) {
      return Architecture.of(files.config(), model).vocabulary();
    }
  }

  private List<Checkpoint> checkpoints(String name) {
    if (run != null) {
      return Trajectory.checkpoints(name, run, model);
    }
    var all = new ArrayList<Checkpoint>();
    for (int i = 0; i < folders.size(); i++) {
      all.add(new Checkpoint((i + 1) + " " + folders.get(i).getFileName(), folders.get(i), model));
    }
    return all;
  }
}
