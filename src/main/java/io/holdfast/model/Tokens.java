package io.holdfast.model;

import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
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
   * Sequences that begin at the left edge, padded on the right: causal attention alone keeps the
   * padding out of every real token's sight.
   */
  public static Tokens rightPadded(Tensor ids) {
    return new Tokens(ids, null, null, null);
  }
}
