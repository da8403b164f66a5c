package io.holdfast.model;

import java.util.Set;

/**
 * How text is continued.
 *
 * @param maxNewTokens longest continuation
 * @param stops ids that end a sequence; empty to go on regardless
 * @param sampling how the next token is chosen
 */
public record Generation(int maxNewTokens, Set<Integer> stops, Sampling sampling) {
  /** Choice of the next token. */
  public sealed interface Sampling {
    /** The most probable token. */
    record Greedy() implements Sampling {}

    /**
     * Drawn from the softmax.
     *
     * @param temperature divides the logits
     * @param topP smallest set of tokens with this probability, 1 for all
     * @param topK only so many most probable tokens, 0 for all
     * @param seed the same seed draws the same tokens
     */
    record Random(double temperature, double topP, int topK, long seed) implements Sampling {}
  }

  /** Greedy decoding. */
  public static Generation greedy(int maxNewTokens, Set<Integer> stops) {
    return new Generation(maxNewTokens, stops, new Sampling.Greedy());
  }
}
