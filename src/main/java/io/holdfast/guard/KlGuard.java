package io.holdfast.guard;

import io.holdfast.HoldfastException;
import io.holdfast.data.Example;

/**
 * Keeps the model's predictions near the reference's, per example:
 *
 * <pre>
 * L = alpha CE + beta KL
 * beta = betaMin + (betaMax - betaMin) risk,  alpha = 1 - beta     (risk-adaptive; Goel et al. 2026)
 * beta = constant,                            alpha = 1            (fixed)
 * </pre>
 *
 * The weights go to the fused head, whose kernel writes {@code alpha (p - onehot) + beta (p - q)}
 * for forward KL.
 */
public final class KlGuard implements Guard {
  /** How the weight of an example comes about. */
  public sealed interface Weighting {
    /** The same KL weight for every example; the cross entropy keeps weight 1. */
    record Constant(double beta) implements Weighting {}

    /**
     * By the risk recorded with each example.
     *
     * @param betaMin KL weight at risk 0
     * @param betaMax KL weight at risk 1
     * @param shrinkTask whether the cross entropy gets {@code 1 - beta}, or 1
     */
    record Risk(double betaMin, double betaMax, boolean shrinkTask) implements Weighting {}
  }

  private final Weighting weighting;
  private final double anchorWeight;

  /**
   * A guard with this weighting.
   *
   * @param anchorWeight weight of the mean divergence at the end of the anchors' prompts
   */
  public KlGuard(Weighting weighting, double anchorWeight) {
    this.weighting = weighting;
    this.anchorWeight = anchorWeight;
  }

  @Override
  public String name() {
    return switch (weighting) {
      case Weighting.Constant(double beta) -> "fixed KL, beta = " + beta;
      case Weighting.Risk(double min, double max, boolean shrink) ->
          "risk-adaptive KL, beta = %s + (%s - %s) risk, alpha = %s"
              .formatted(min, max, min, shrink ? "1 - beta" : "1");
    };
  }

  @Override
  public ExampleWeight weigh(Example example, ExampleWeight weight) {
    if (Anchor.is(example)) {
      return new ExampleWeight(0, anchorWeight);
    }
    return switch (weighting) {
      case Weighting.Constant(double beta) -> new ExampleWeight(weight.task(), beta);
      case Weighting.Risk(double min, double max, boolean shrink) -> {
        double beta = min + (max - min) * risk(example);
        yield new ExampleWeight(shrink ? weight.task() * (1 - beta) : weight.task(), beta);
      }
    };
  }

  /** The recorded risk; a row without one is an error, because guessing it would fail open. */
  static double risk(Example example) {
    if (Float.isNaN(example.risk())) {
      throw HoldfastException.input(
          "%s: no risk is recorded for this row, but a guard weighs rows by risk. Add the column"
              + " to every row, or use a constant weight.",
          example.place());
    }
    return example.risk();
  }
}
