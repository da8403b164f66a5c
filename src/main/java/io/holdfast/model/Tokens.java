package io.holdfast.model;

import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Tensor;

/**
 * What a forward pass reads.
 *
 * @param ids int64 {@code [batch, time]}
 * @param positions int64 {@code [batch, time]}, or null for {@code 0..time-1} in every row
 * @param mask boolean {@code [batch, 1, time, seen]}, true where a token may look, or null for the
 *     plain causal mask
 * @param cache the tokens seen before, or null
 * @param lengths of the sequences that follow one another in the only row and do not see each
 *     other, or null where a row is one sequence
 */
public record Tokens(Tensor ids, Tensor positions, Tensor mask, KvCache cache, long[] lengths) {
  /** Rows of one sequence each. */
  public Tokens(Tensor ids, Tensor positions, Tensor mask, KvCache cache) {
    this(ids, positions, mask, cache, null);
  }

  /** A batch, packed or not; its positions begin at 0 in every example. */
  public static Tokens of(Batch batch) {
    var ids = Tensors.of(batch.ids(), batch.rows(), batch.width());
    if (!batch.packed()) {
      return rightPadded(ids);
    }
    var positions = new long[batch.width()];
    for (int i = 0; i < positions.length; i++) {
      positions[i] = i - batch.starts()[batch.exampleAt(i)];
    }
    return new Tokens(
        ids,
        Tensors.of(positions, 1, positions.length),
        null,
        null,
        batch.examples().stream().mapToLong(Example::length).toArray());
  }

  /** Tokens of the longest sequence, those in the cache included. */
  int longest() {
    int time = Math.toIntExact(ids.size(1));
    return lengths == null
        ? (cache == null ? 0 : cache.length()) + time
        : Math.toIntExact(Arrays.stream(lengths).max().orElse(0));
  }

  /**
   * Sequences that end at the right edge, padded on the left with what no token of theirs sees.
   *
   * @param cache that is empty, or null
   */
  public static Tokens leftPadded(List<int[]> sequences, KvCache cache) {
    int rows = sequences.size();
    int width = sequences.stream().mapToInt(ids -> ids.length).max().orElse(0);
    var ids = new long[rows * width];
    var positions = new long[rows * width];
    for (int r = 0; r < rows; r++) {
      int[] sequence = sequences.get(r);
      int from = (r + 1) * width - sequence.length;
      for (int t = 0; t < sequence.length; t++) {
        ids[from + t] = sequence[t];
        positions[from + t] = t;
      }
    }
    var all = Tensors.of(ids, rows, width);
    if (sequences.stream().allMatch(sequence -> sequence.length == width)) {
      return new Tokens(all, null, null, cache);
    }
    long[] pads = sequences.stream().mapToLong(sequence -> width - sequence.length).toArray();
    var time = Tensors.range(0, width);
    var visible = time.ge(Tensors.of(pads, rows, 1, 1, 1));
    var past = time.unsqueeze(0).le(time.unsqueeze(1));
    // A padding token looks at itself: one that sees nothing would be NaN.
    var self = time.unsqueeze(0).eq(time.unsqueeze(1));
    return new Tokens(
        all, Tensors.of(positions, rows, width), visible.logical_and(past).logical_or(self), cache);
  }

  /**
   * Sequences that begin at the left edge, padded on the right: causal attention alone keeps the
   * padding out of every real token's sight.
   */
  public static Tokens rightPadded(Tensor ids) {
    return new Tokens(ids, null, null, null);
  }
}
