package io.holdfast.cli;

import io.holdfast.train.TrainRun;
import java.util.Locale;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** Fine-tunes a model as a configuration says. */
@Command(
    name = "train",
    description = {
      "Fine-tune a model; write a run folder with checkpoints that transformers and peft load.",
      "Ctrl-C saves a checkpoint first; --resume goes on from the latest."
    })
final class Train implements Runnable {
  @Spec private CommandSpec spec;
  @ParentCommand private Holdfast root;
  @Mixin private ConfigOption config;
  @Mixin private DeviceOption device;

  @Option(names = "--resume", description = "Go on from the latest checkpoint of the run folder.")
  private boolean resume;

  @Override
  public void run() {
    var resolved = config.load(device.override());
    var outcome = TrainRun.run(resolved, resume, root.progress(), SuiteEvaluator.LOADER);
    spec.commandLine()
        .getOut()
        .printf(
            Locale.ROOT,
            "%d steps, %.0f tokens/s: %s%n",
            outcome.steps(),
            outcome.tokensPerSecond(),
            outcome.checkpoint());
  }
}
