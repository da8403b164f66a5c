package io.holdfast.guard;

import io.holdfast.data.Example;

/** Weighs the cross entropy of single tokens by what the model makes of them. */
@FunctionalInterface
public interface TokenWeights {
  /**
   * The factor of one token's cross entropy, which counts as a constant in the gradient.
   *
   * @param token its place in the example; one that is learnt
   * @param logProbability that the model gives to it now, natural
   */
  double of(Example example, int token, double logProbability);
}
