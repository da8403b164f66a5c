package io.holdfast.guard;

import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import java.util.ArrayList;
import java.util.List;

/**
 * The guarded tokens of one batch, the same for every layer.
 *
 * @param examples of the batch
 * @param counts guarded tokens of each example
 * @param rows where each token stands in the batch, example by example
 * @param strength of each token: the row's risk, or 1
 * @param anchor whether the token is an anchor's
 * @param last of each anchor: which of the tokens is its last one
 */
record HeldTokens(
    List<Example> examples,
    int[] counts,
    long[] rows,
    float[] strength,
    boolean[] anchor,
    List<Integer> last) {
  static HeldTokens of(Batch batch, GuardedPositions positions, SubspaceGuard.Settings settings) {
    var examples = batch.examples();
    int[] counts = examples.stream().mapToInt(example -> positions.of(example).length).toArray();
    int count = java.util.Arrays.stream(counts).sum();
    var held =
        new HeldTokens(
            examples,
            counts,
            new long[count],
            new float[count],
            new boolean[count],
            new ArrayList<>());
    int at = 0;
    for (int r = 0; r < examples.size(); r++) {
      var example = examples.get(r);
      boolean anchor = Anchor.is(example);
      float strong = settings.byRisk() && !anchor ? (float) KlGuard.risk(example) : 1;
      for (int t : positions.of(example)) {
        held.rows[at] = batch.starts()[r] + t;
        held.strength[at] = strong;
        held.anchor[at++] = anchor;
      }
      if (anchor && counts[r] > 0) {
        held.last.add(at - 1);
      }
    }
    return held;
  }

  int count() {
    return rows.length;
  }
}
