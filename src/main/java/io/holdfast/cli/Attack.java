package io.holdfast.cli;

import io.holdfast.train.Progress;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** Attacks on models of one's own. */
@Command(
    name = "attack",
    description = {
      "Search for prompts that a model answers though it should refuse, and replay them.",
      "For testing models that you own or may test: docs/attacks.md."
    },
    subcommands = {GcgCommand.class, AutodanCommand.class, TransferCommand.class})
final class Attack implements Runnable {
  @Spec private CommandSpec spec;
  @ParentCommand private Holdfast root;

  /** How a subcommand shows its progress. */
  Progress.Style progress() {
    return root.progress();
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "name an attack");
  }
}
