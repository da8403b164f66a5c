package io.holdfast.guard;

/**
 * How an example enters the loss: {@code task * CE + kl * KL}.
 *
 * @param task weight of the cross entropy
 * @param kl weight of the divergence from the reference
 */
public record ExampleWeight(double task, double kl) {
  /** Plain training: the cross entropy alone. */
  public static final ExampleWeight PLAIN = new ExampleWeight(1, 0);

  /** An anchor before any guard has weighed it. */
  public static final ExampleWeight NONE = new ExampleWeight(0, 0);

  /** Whether the example adds nothing to the loss. */
  public boolean isZero() {
    return task == 0 && kl == 0;
  }
}
