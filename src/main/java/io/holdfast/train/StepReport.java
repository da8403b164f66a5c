package io.holdfast.train;

import java.util.Map;

/**
 * One line of {@code metrics.jsonl}.
 *
 * @param step steps done, from 1
 * @param loss the weighted loss that was minimised, guards' KL included, penalties not
 * @param gradNorm before clipping
 * @param lr learning rate used
 * @param tokens tokens read, padding left out
 * @param supervised of these, tokens whose prediction is learnt
 * @param seconds wall time of the step
 * @param terms the guards' own terms
 */
public record StepReport(
    long step,
    double loss,
    double gradNorm,
    double lr,
    long tokens,
    long supervised,
    double seconds,
    Map<String, Double> terms) {
  /** Rate of the step. */
  public double tokensPerSecond() {
    return tokens / seconds;
  }
}
