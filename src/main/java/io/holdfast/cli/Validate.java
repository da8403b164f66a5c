package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.data.Examples;
import io.holdfast.eval.EvalSuite;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.TrainRun;
import io.holdfast.train.TrainingData;
import io.holdfast.train.Windows;
import io.holdfast.train.config.TrainConfig;
import java.io.PrintWriter;
import java.util.Locale;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Checks everything that can be checked before a run, and trains nothing. */
@Command(
    name = "validate",
    description = {
      "Check a configuration, its files, every row and the memory it needs; train nothing.",
      "Exit code 2 for the configuration, 3 for files and rows, of which the first twenty are"
          + " named."
    })
final class Validate implements Runnable {
  @Spec private CommandSpec spec;
  @Mixin private ConfigOption config;

  @Option(names = "--print", description = "Print the configuration with every default.")
  private boolean print;

  @Option(
      names = "--limit",
      paramLabel = "N",
      description = "Check the first N rows alone; all if not given.")
  private long limit = Long.MAX_VALUE;

  @Override
  public void run() {
    if (limit < 1) {
      throw HoldfastException.usage("--limit must be at least 1, is %d", limit);
    }
    var out = spec.commandLine().getOut();
    var resolved = config.load();
    TrainRun.check(resolved);
    resolved.eval().ifPresent(eval -> EvalSuite.load(eval.suite()));
    var check = new RowCheck(MemoryEstimate.architecture(resolved).vocabulary());
    var counts = read(resolved, check);
    var coverage = check.coverage(counts.rows());
    if (coverage.rows() == 0) {
      throw HoldfastException.input(
          "%s: no row to learn from%s",
          resolved.data().train().getFirst(),
          counts.dropped() > 0
              ? "; max_length cuts every answer off, raise it"
              : ", the file is empty");
    }
    out.printf("configuration  %s%n", config.file());
    out.printf(
        "rows           %s%n",
        TrainingRows.summary(coverage.rows(), counts.cut(), counts.dropped()));
    out.printf("supervised     %s%n", coverage);
    if (counts.rows() < limit) {
      tellSteps(resolved, Windows.counting(resolved, check.lengths()), out);
    }
    out.printf("memory         %s%n", MemoryEstimate.of(resolved, coverage.longest()));
    if (print) {
      out.println();
      out.print(resolved.toYaml());
    }
  }

  private Examples.Counts read(TrainConfig resolved, RowCheck check) {
    try (var chat = ChatTokenizer.load(resolved.model())) {
      var prompts = TrainingData.prompts(resolved, chat);
      resolved.guard().anchors().ifPresent(prompts::readPrompts);
      resolved
          .guard()
          .subspace()
          .flatMap(subspace -> subspace.contrast())
          .ifPresent(
              contrast -> {
                prompts.readPrompts(contrast.harmful());
                prompts.readPrompts(contrast.benign());
              });
      return TrainingData.reader(resolved, chat).read(resolved.data().train(), limit, check);
    }
  }

  private static void tellSteps(TrainConfig config, Windows windows, PrintWriter out) {
    int window = config.batchSize() * config.accumulation();
    int steps = config.totalSteps(windows.stepsPerEpoch());
    out.printf(
        "steps          %,d of %d rows (%d x %d), %.2f epochs%s%n",
        steps,
        window,
        config.batchSize(),
        config.accumulation(),
        (double) steps * window / windows.rows(),
        config.data().packing() ? ", packed into %,d rows".formatted(windows.rows()) : "");
    boolean plain = !config.data().packing() && !config.data().groupByLength();
    out.printf(
        Locale.ROOT,
        "padding        %.1f %% of all positions%s%n",
        100 * windows.padding(),
        plain
            ? "; %.1f %% with group_by_length, none with packing"
                .formatted(100 * windows.groupedByLength().padding())
            : "");
  }
}
