package io.holdfast.cli;

import io.holdfast.train.Progress;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** How dangerous rows are. */
@Command(
    name = "risk",
    description = "Fit a risk predictor to a model's activations, or write the risk of rows.",
    subcommands = {RiskFit.class, RiskScore.class},
    synopsisSubcommandLabel = "WHAT")
final class Risk implements Runnable {
  @Spec private CommandSpec spec;
  @ParentCommand private Holdfast root;

  /** How a command below shows its progress. */
  Progress.Style progress() {
    return root.progress();
  }

  @Override
  public void run() {
    throw new ParameterException(
        spec.commandLine(), "risk: say what to do: risk fit or risk score");
  }
}
