package io.holdfast.guard;

import io.holdfast.data.Batch;
import org.bytedeco.pytorch.Tensor;

/** A loss on the hidden states that the head reads, which knows its gradient in closed form. */
@FunctionalInterface
public interface HeadLoss {
  /**
   * The loss of a batch.
   *
   * @param hidden {@code [rows, time, d]} after the final norm
   * @param gradient {@code [rows * time, d]}, zeros; receives the gradient. That of the head's own
   *     weights is added to theirs.
   */
  double lossAndGradient(Batch batch, Tensor hidden, Tensor gradient);
}
