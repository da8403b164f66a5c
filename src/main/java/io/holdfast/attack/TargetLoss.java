package io.holdfast.attack;

/** How probable an answer is, as a loss over its tokens. */
public sealed interface TargetLoss {
  /** Mean cross entropy of the target's tokens. */
  record CrossEntropy() implements TargetLoss {}

  /**
   * {@code (1/a) log mean exp(-a z)} over the logits z of the target's tokens (nanoGCG): near the
   * worst of them for a large a. It reads these logits alone, not their softmax.
   *
   * @param alpha a, positive
   */
  record Mellowmax(double alpha) implements TargetLoss {
    /** Checks the range. */
    public Mellowmax {
      if (!(alpha > 0)) {
        throw new IllegalArgumentException("mellowmax needs a positive alpha, not " + alpha);
      }
    }
  }
}
