package io.holdfast.kernels;

/**
 * What one optimizer step has in common for all tensors.
 *
 * @param step number of this step, from 1
 * @param lr learning rate
 * @param beta1 decay of the first moment
 * @param beta2 decay of the second moment
 * @param eps added to the root of the second moment
 * @param gradientScale factor on every gradient: the clipping coefficient
 */
public record AdamwStep(
    long step, double lr, double beta1, double beta2, double eps, double gradientScale) {
  /** Checks the ranges in which AdamW is defined. */
  public AdamwStep {
    if (step < 1 || beta1 < 0 || beta1 >= 1 || beta2 < 0 || beta2 >= 1 || eps < 0) {
      throw new IllegalArgumentException(
          "AdamW is not defined for step %d, betas %s and %s, eps %s"
              .formatted(step, beta1, beta2, eps));
    }
  }
}
