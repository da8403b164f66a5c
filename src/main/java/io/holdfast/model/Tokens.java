package io.holdfast.model;

import org.bytedeco.pytorch.Tensor;

/**
 * What a forward pass reads.
 *
 * @param ids int64 {@code [batch, time]}
 * @param positions int64 {@code [batch, time]}, or null for {@code 0..time-1} in every row
 * @param mask boolean {@code [batch, 1, time, seen]}, true where a token may look, or null for the
 *     plain causal mask
 * @param cache the tokens seen before, or null
 */
public record Tokens(Tensor ids, Tensor positions, Tensor mask, KvCache cache) {
  /**
   * Sequences that begin at the left edge, padded on the right: causal attention alone keeps the
   * padding out of every real token's sight.
   */
  public static Tokens rightPadded(Tensor ids) {
    return new Tokens(ids, null, null, null);
  }
}
