package io.holdfast.guard;

import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.model.Tap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.bytedeco.pytorch.Tensor;

/**
 * What holds a run back. A guard never builds a graph for its loss: it states its gradient in
 * closed form, as weights of the fused head or as an edit of a hidden state's gradient. Published
 * baselines also edit the gradients of weights, the weights themselves, or the rows.
 *
 * <p>In a run: {@link #begin} once; in every step {@link #rows}, {@link #window}, {@link #taps} for
 * each pass, {@link #beforeUpdate}, then {@link #afterUpdate}; {@link #finish} after the last one.
 */
public interface Guard extends AutoCloseable {
  /** The formula's name, for the manifest. */
  String name();

  /** The run begins, or is about to be resumed: the weights are those of its start. */
  default void begin(Tuning tuning) {}

  /**
   * The rows of a micro-batch, given what earlier guards made of them. A pure function, so that a
   * resumed run sees the same.
   *
   * @param step from 0
   * @param micro number of the micro-batch in its step
   */
  default List<Example> rows(long step, int micro, List<Example> rows) {
    return rows;
  }

  /** Weight of an example in the loss, given what earlier guards made of it. */
  default ExampleWeight weigh(Example example, ExampleWeight weight) {
    return weight;
  }

  /** Sees the micro-batches of a step before the first of them is computed. */
  default void window(List<Batch> batches) {}

  /** What weighs the cross entropy of single tokens, if anything does. */
  default Optional<TokenWeights> tokenWeights() {
    return Optional.empty();
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

  /** Edits the weights that the run ends with. */
  default void finish() {}

  /** Tensors that a resumed run must find as they were, besides the weights. */
  default Map<String, Tensor> state() {
    return Map.of();
  }

  /** The guard's own terms since the last call, for {@code metrics.jsonl}. */
  default Map<String, Double> metrics() {
    return Map.of();
  }

  @Override
  default void close() {}
}
