package io.holdfast.cli.study;

import io.holdfast.HoldfastException;
import io.holdfast.cli.study.Condition.Mode;
import io.holdfast.geometry.Basis;
import io.holdfast.geometry.Carrier;
import io.holdfast.geometry.RefusalTrial.Limits;
import java.util.List;
import java.util.Optional;

/** Where the directions that are removed and added come from. */
sealed interface Directions permits Carriers, FittedDirections {
  /** What readers call those that are about refusal. */
  String title();

  /** Those that are about refusal. */
  Mode refusal();

  /** Others to compare them with. */
  List<Mode> others();

  /** Slots of the residual stream that have some, ascending. */
  List<Integer> layers();

  /** What is added at a slot, with its length. */
  Carrier carrier(Mode mode, int layer);

  /** What is removed. */
  Basis subspace(Mode mode, int layer);

  /**
   * The interventions among which a removal and an addition are chosen.
   *
   * @param depth blocks of the model
   */
  List<Condition> tried(Limits limits, int depth);

  /** The same read where it does not belong, as a control, where there is such a thing. */
  Optional<Directions> misread();

  /**
   * Layers that are not too near the output.
   *
   * @throws HoldfastException if none is left
   */
  default List<Integer> early(Limits limits, int depth) {
    var early = layers().stream().filter(layer -> !limits.late(layer, depth)).toList();
    if (early.isEmpty()) {
      throw HoldfastException.usage(
          "deepest: the first %s of %d blocks hold no layer with a carrier; take more of them",
          limits.depth(), depth);
    }
    return early;
  }
}
