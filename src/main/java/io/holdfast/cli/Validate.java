package io.holdfast.cli;

import io.holdfast.eval.EvalSuite;
import io.holdfast.train.TrainRun;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Checks everything that can be checked before a run, and trains nothing. */
@Command(
    name = "validate",
    description = "Check a configuration, its files and the memory it needs; train nothing.")
final class Validate implements Runnable {
  @Spec private CommandSpec spec;
  @Mixin private ConfigOption config;

  @Option(names = "--print", description = "Print the configuration with every default.")
  private boolean print;

  @Override
  public void run() {
    var out = spec.commandLine().getOut();
    var resolved = config.load();
    TrainRun.check(resolved);
    resolved.eval().ifPresent(eval -> EvalSuite.load(eval.suite()));
    try (var rows = TrainingRows.read(resolved)) {
      var coverage = Coverage.of(rows.examples());
      out.printf("configuration  %s%n", config.file());
      out.printf("rows           %s%n", rows.summary());
      out.printf("supervised     %s%n", coverage);
      out.printf("steps          %s%n", rows.steps(resolved));
      out.printf("memory         %s%n", MemoryEstimate.of(resolved, coverage.longest()));
    }
    if (print) {
      out.println();
      out.print(resolved.toYaml());
    }
  }
}
