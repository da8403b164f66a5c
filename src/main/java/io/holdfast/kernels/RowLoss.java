package io.holdfast.kernels;

import io.holdfast.kernels.Kernels.KlDirection;
import java.util.Objects;

/**
 * How rows of logits become a loss.
 *
 * @param direction of the divergence from the reference
 * @param labelSmoothing share of the label's probability that is spread over the whole vocabulary,
 *     from 0 to 1 (Szegedy et al. 2016, as PyTorch computes it)
 * @param softCap bound of the logits, {@code softCap tanh(z / softCap)}, for the model and the
 *     reference alike; 0 for none (Gemma 2's {@code final_logit_softcapping})
 */
public record RowLoss(KlDirection direction, double labelSmoothing, double softCap) {
  /** Checks the ranges. */
  public RowLoss {
    Objects.requireNonNull(direction, "direction");
    if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
      throw new IllegalArgumentException(
          "label smoothing is from 0 to 1, not %s".formatted(labelSmoothing));
    }
    if (!(softCap >= 0 && softCap <= 1e30)) {
      throw new IllegalArgumentException("a soft cap is a bound, or 0, not %s".formatted(softCap));
    }
  }

  /** No smoothing and no cap. */
  public RowLoss(KlDirection direction) {
    this(direction, 0, 0);
  }
}
