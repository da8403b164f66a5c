package io.holdfast.model;

import io.holdfast.text.StopStrings;
import java.util.Set;

/**
 * How text is continued.
 *
 * @param maxNewTokens longest continuation
 * @param stops ids that end a sequence; empty to go on regardless
 * @param stopStrings texts that end a sequence
 * @param repetitionPenalty logits of tokens that the row holds already, prompt included, are
 *     divided by it where positive and multiplied where negative (Keskar et al. 2019); 1 for none
 * @param sampling how the next token is chosen
 * @param logprobs whether the log-probabilities of the new tokens are wanted
 */
public record Generation(
    int maxNewTokens,
    Set<Integer> stops,
    StopStrings stopStrings,
    double repetitionPenalty,
    Sampling sampling,
    boolean logprobs) {
  /** Choice of the next token. */
  public sealed interface Sampling {
    /** The most probable token. */
    record Greedy() implements Sampling {}

    /**
     * Drawn from the softmax, after these in this order.
     *
     * @param temperature divides the logits
     * @param topK only so many most probable tokens, 0 for all; of equally probable ones at the
     *     border any may be kept
     * @param topP smallest set of tokens with this probability (Holtzman et al. 2020), 1 for all
     * @param minP only tokens with this share of the most probable one's probability (Nguyen et al.
     *     2024), 0 for all
     * @param seed the same seed draws the same tokens
     */
    record Random(double temperature, int topK, double topP, double minP, long seed)
        implements Sampling {}
  }

  /** Until a length or one of some tokens, and nothing more. */
  public Generation(int maxNewTokens, Set<Integer> stops, Sampling sampling) {
    this(maxNewTokens, stops, StopStrings.NONE, 1, sampling, false);
  }

  /** Greedy decoding. */
  public static Generation greedy(int maxNewTokens, Set<Integer> stops) {
    return new Generation(maxNewTokens, stops, new Sampling.Greedy());
  }
}
