package io.holdfast.cli;

import io.holdfast.train.Progress;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** The commands that look at a model's safety geometry. */
@Command(
    name = "geometry",
    description = "Find, measure and follow the directions that carry harmfulness and refusal.",
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {
      GeometryFit.class,
      GeometryMeasure.class,
      GeometryIntervene.class,
      GeometryDrift.class,
      GeometryTrajectory.class,
      GeometryProtocol.class,
    })
final class Geometry implements Runnable {
  @Spec private CommandSpec spec;
  @ParentCommand private Holdfast root;

  /** How a command of this group shows its progress. */
  Progress.Style progress() {
    return root.progress();
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "name a command");
  }
}
