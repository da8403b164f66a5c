package io.holdfast.train;

/**
 * Learning rate by step: linear warm-up from 0, then a decay that reaches 0 when the last step is
 * done, as {@code transformers}' {@code get_*_schedule_with_warmup} computes it.
 *
 * @param peak the rate after warm-up
 * @param warmupSteps steps of the warm-up
 * @param steps all steps of the run
 * @param decay shape of the decay
 */
public record Schedule(double peak, long warmupSteps, long steps, Decay decay) {
  /** Shape of the decay after warm-up. */
  public enum Decay {
    /** Half a cosine. */
    COSINE,
    /** A straight line. */
    LINEAR,
    /** None. */
    CONSTANT
  }

  /**
   * The learning rate of a step.
   *
   * @param step from 0
   */
  public double rate(long step) {
    if (step < warmupSteps) {
      return peak * step / Math.max(1, warmupSteps);
    }
    double progress = (double) (step - warmupSteps) / Math.max(1, steps - warmupSteps);
    return switch (decay) {
      case COSINE -> peak * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
      case LINEAR -> peak * Math.max(0, 1 - progress);
      case CONSTANT -> peak;
    };
  }
}
