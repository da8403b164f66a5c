package io.holdfast.guard;

import io.holdfast.data.Batch;
import io.holdfast.model.Tap;
import java.util.List;
import java.util.Map;

/**
 * What holds a run back. A guard never builds a graph for its loss: it states its gradient in
 * closed form, as weights of the fused head or as an edit of a hidden state's gradient.
 */
public interface Guard extends AutoCloseable {
  /** The formula's name, for the manifest. */
  String name();

  /** Weight of an example in the loss, given what earlier guards made of it. */
  default ExampleWeight weigh(io.holdfast.data.Example example, ExampleWeight weight) {
    return weight;
  }

  /**
   * Taps for the forward pass of one batch, or none.
   *
   * @param share divides the guard's sums: how many constrained positions the whole accumulation
   *     window has
   */
  default List<Tap> taps(Batch batch, long share) {
    return Tap.NONE;
  }

  /** Constrained positions of a batch, to be summed over the accumulation window. */
  default long positions(Batch batch) {
    return 0;
  }

  /**
   * Edits the gradients of a step, which are complete and not clipped yet. The parameters that are
   * trained are the guard's own to know.
   */
  default void beforeUpdate() {}

  /** Edits the parameters that the optimizer has just moved, such as by projecting them. */
  default void afterUpdate() {}

  /** The guard's own terms since the last call, for {@code metrics.jsonl}. */
  default Map<String, Double> metrics() {
    return Map.of();
  }

  @Override
  default void close() {}
}
