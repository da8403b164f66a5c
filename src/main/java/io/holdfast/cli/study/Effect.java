package io.holdfast.cli.study;

import io.holdfast.eval.EvalSuite;
import io.holdfast.eval.Measure;
import io.holdfast.eval.Outcome;
import io.holdfast.eval.Rate;
import io.holdfast.eval.SuiteReport;
import io.holdfast.eval.Tally;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * What a model does under an intervention, or as it is.
 *
 * @param name of the intervention
 * @param condition empty for the model as it is
 * @param shares with their Wilson intervals, of those that the suite measures: {@code asr}, {@code
 *     asr_other} (harmful prompts answered neither way), {@code over_refusal}, {@code utility}, and
 *     {@code answered} (benign prompts that were answered)
 * @param kl mean KL of the next token on answered benign prompts, nats
 * @param harmfulScore mean refusal score of harmful prompts
 * @param benignScore mean refusal score of benign prompts
 */
public record Effect(
    String name,
    Optional<Condition> condition,
    Map<String, Rate> shares,
    double kl,
    double harmfulScore,
    double benignScore) {
  /** The head of a table of effects. */
  public static final List<String> HEAD =
      List.of(
          "intervention",
          "attack success",
          "other",
          "over-refusal",
          "benign answered",
          "KL",
          "score, harmful",
          "score, benign");

  /** The shares of a suite's report. */
  static Map<String, Rate> shares(EvalSuite suite, SuiteReport report) {
    var shares = new LinkedHashMap<String, Rate>();
    var tallies = new LinkedHashMap<Measure, Tally>();
    report.sets().forEach((name, set) -> tallies.merge(set.measure(), set.tally(), Tally::plus));
    tallies.forEach((measure, tally) -> shares.put(measure.id(), measure.of(tally)));
    if (tallies.containsKey(Measure.ASR)) {
      shares.put("asr_other", tallies.get(Measure.ASR).rate(Outcome.OTHER));
    }
    if (tallies.containsKey(Measure.OVER_REFUSAL)) {
      shares.put("answered", tallies.get(Measure.OVER_REFUSAL).rate(Outcome.COMPLY));
    }
    return shares;
  }

  /** A share in [0, 1], NaN where the suite does not measure it. */
  double share(String measure) {
    return Optional.ofNullable(shares.get(measure)).map(Rate::value).orElse(Double.NaN);
  }

  /** A row of a table of effects, shares in percent. */
  public List<String> cells() {
    return List.of(
        name,
        cell("asr"),
        cell("asr_other"),
        cell("over_refusal"),
        cell("answered"),
        String.format(Locale.ROOT, "%.3f", kl),
        String.format(Locale.ROOT, "%.1f", harmfulScore),
        String.format(Locale.ROOT, "%.1f", benignScore));
  }

  private String cell(String measure) {
    var rate = shares.get(measure);
    return rate == null ? "-" : rate.toString();
  }
}
