package io.holdfast.cli;

import io.holdfast.data.Example;
import io.holdfast.guard.ExampleWeight;
import io.holdfast.guard.KlGuard;
import io.holdfast.text.Tokenizer;
import io.holdfast.train.config.GuardConfig;
import io.holdfast.train.config.GuardConfig.RowWeight;
import io.holdfast.train.config.RiskConfig;
import io.holdfast.train.config.TrainConfig;
import java.io.PrintWriter;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Shows what a run would learn from, before hours are spent on it. */
@Command(
    name = "preview",
    description = "Show the tokens of the first rows beside their loss mask and weights.")
final class Preview implements Runnable {
  @Spec private CommandSpec spec;
  @Mixin private ConfigOption config;

  @Option(
      names = {"-n", "--rows"},
      paramLabel = "N",
      defaultValue = "2",
      description = "How many rows (default: ${DEFAULT-VALUE}).")
  private int count;

  @Override
  public void run() {
    if (count < 0) {
      throw new ParameterException(spec.commandLine(), "-n must be 0 or more, not " + count);
    }
    var out = spec.commandLine().getOut();
    var resolved = config.load();
    resolved.requireFiles();
    try (var rows = TrainingRows.read(resolved)) {
      rows.examples().stream()
          .limit(count)
          .forEach(example -> show(example, rows.chat().tokenizer(), resolved, out));
      var coverage = Coverage.of(rows.examples());
      out.printf("%s; learnt: %s%n", rows.summary(), coverage);
      rows.chat()
          .tokenizer()
          .maxLength()
          .ifPresent(limit -> warnBeyond(limit, coverage, spec.commandLine().getErr()));
    }
  }

  private static void warnBeyond(int limit, Coverage coverage, PrintWriter err) {
    if (coverage.longest() > limit) {
      err.printf(
          "holdfast: the longest row has %,d tokens; tokenizer_config.json says that the model was"
              + " made for %,d (model_max_length). Lower data.max_length, or leave long rows"
              + " out.%n",
          coverage.longest(), limit);
    }
  }

  private static void show(
      Example example, Tokenizer tokenizer, TrainConfig config, PrintWriter out) {
    var weight = weight(example, config.guard());
    out.printf(
        "%s%s  %d tokens, %d learnt  %s%n",
        example.place(),
        example.id().equals(example.place().toString()) ? "" : "  id " + example.id(),
        example.ids().length,
        Coverage.supervised(example),
        weight
            .map(known -> weights(known, example))
            .orElse("weighed by its risk, which is not yet known"));
    out.println("   pos      id  loss  token");
    for (int i = 0; i < example.ids().length; i++) {
      int id = example.ids()[i];
      out.printf(
          "%6d  %6d  %s  %s%s%n",
          i,
          id,
          example.target()[i]
              ? "%4.2g".formatted(weight.orElse(ExampleWeight.PLAIN).task())
              : "   .",
          visible(tokenizer.decode(new int[] {id}, false)),
          mark(example, i));
    }
    out.println();
  }

  private static String weights(ExampleWeight weight, Example example) {
    return "task weight %.3g  KL weight %.3g%s"
        .formatted(
            weight.task(),
            weight.kl(),
            Float.isNaN(example.risk()) ? "" : "  risk %.3g".formatted(example.risk()));
  }

  /**
   * How the row enters the loss under the guards of the configuration; empty where that is for a
   * source of risk to say that only a run asks.
   */
  private static Optional<ExampleWeight> weight(Example row, GuardConfig guard) {
    var source = guard.riskSource();
    var example =
        source.isPresent() && source.get() instanceof RiskConfig.Constant(double value)
            ? row.withRisk((float) value)
            : row;
    if (source.isPresent() && Float.isNaN(example.risk())) {
      return Optional.empty();
    }
    var weight =
        guard
            .kl()
            .map(kl -> new KlGuard(kl.weighting(), 0).weigh(example, ExampleWeight.PLAIN))
            .orElse(ExampleWeight.PLAIN);
    boolean byRisk =
        guard.subspace().filter(s -> s.taskWeight() == RowWeight.ONE_MINUS_RISK).isPresent();
    return Optional.of(
        byRisk ? new ExampleWeight(weight.task() * (1 - example.risk()), weight.kl()) : weight);
  }

  private static String mark(Example example, int position) {
    return (position == example.instructionEnd() ? "   <- end of the instruction" : "")
        + (position == example.promptEnd() ? "   <- end of the prompt" : "");
  }

  /** A token's text with its white space shown. */
  private static String visible(String text) {
    return text.replace("\n", "\\n")
        .replace("\r", "\\r")
        .replace("\t", "\\t")
        .replace(' ', '\u00b7');
  }
}
