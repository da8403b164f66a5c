package io.holdfast.cli;

import io.holdfast.data.Example;
import io.holdfast.guard.ExampleWeight;
import io.holdfast.guard.KlGuard;
import io.holdfast.text.Tokenizer;
import io.holdfast.train.config.GuardConfig;
import io.holdfast.train.config.GuardConfig.RowWeight;
import io.holdfast.train.config.TrainConfig;
import java.io.PrintWriter;
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
        "%s%s  %d tokens, %d learnt  task weight %.3g  KL weight %.3g%s%n",
        example.place(),
        example.id().equals(example.place().toString()) ? "" : "  id " + example.id(),
        example.ids().length,
        Coverage.supervised(example),
        weight.task(),
        weight.kl(),
        Float.isNaN(example.risk()) ? "" : "  risk %.3g".formatted(example.risk()));
    out.println("   pos      id  loss  token");
    for (int i = 0; i < example.ids().length; i++) {
      int id = example.ids()[i];
      out.printf(
          "%6d  %6d  %s  %s%s%n",
          i,
          id,
          example.target()[i] ? "%4.2g".formatted(weight.task()) : "   .",
          visible(tokenizer.decode(new int[] {id}, false)),
          mark(example, i));
    }
    out.println();
  }

  /** How the row enters the loss under the guards of the configuration. */
  private static ExampleWeight weight(Example example, GuardConfig guard) {
    var weight =
        guard
            .kl()
            .map(kl -> new KlGuard(kl.weighting(), 0).weigh(example, ExampleWeight.PLAIN))
            .orElse(ExampleWeight.PLAIN);
    boolean byRisk =
        guard.subspace().filter(s -> s.taskWeight() == RowWeight.ONE_MINUS_RISK).isPresent();
    return byRisk ? new ExampleWeight(weight.task() * (1 - example.risk()), weight.kl()) : weight;
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
