package io.holdfast.model;

/**
 * A named place on the residual stream.
 *
 * @param kind what is seen there
 * @param layer block number; {@link Kind#BLOCK_INPUT} also has slot {@code layers}: the output of
 *     the last block, before the final norm
 */
public record Site(Kind kind, int layer) {
  /** What a site shows; all are {@code [batch, time, d]}. */
  public enum Kind {
    /** The residual stream as a block reads it; slot 0 is the embedding output. */
    BLOCK_INPUT,
    /** What attention adds to the residual stream. */
    ATTENTION_OUTPUT,
    /** What the MLP adds to the residual stream. */
    MLP_OUTPUT
  }

  /** The residual stream at slot {@code layer}. */
  public static Site residual(int layer) {
    return new Site(Kind.BLOCK_INPUT, layer);
  }
}
