package io.holdfast.train;

import io.holdfast.data.Batch;
import io.holdfast.model.Decoder;
import org.bytedeco.pytorch.Tensor;

/** What the model a run must not drift away from predicts: its last hidden states and its head. */
public interface ReferenceStates extends AutoCloseable {
  /** The model. */
  Decoder decoder();

  /** Its head {@code [V, d]}. */
  Tensor head();

  /**
   * Its hidden states after the final norm at the rows that have a KL weight.
   *
   * @return {@code [rows.withKl(), d]}, in the caller's scope
   */
  Tensor hiddenAt(Batch batch, LossRows rows);

  /** How many examples its model has computed so far. */
  long computed();

  @Override
  default void close() {}
}
