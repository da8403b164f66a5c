package io.holdfast.guard;

import io.holdfast.data.Example;

/** Which tokens of an example a subspace guard holds. */
@FunctionalInterface
public interface GuardedPositions {
  /** The guarded token positions of an example, ascending; empty where there is nothing to hold. */
  int[] of(Example example);
}
