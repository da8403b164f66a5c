package io.holdfast.geometry;

import io.holdfast.HoldfastException;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * How near a model is to a refusal before it says anything: the log-odds that its answer begins
 * with one of some tokens (Arditi et al. 2024, section 2.3), in float64.
 *
 * @param tokens with which refusals begin
 */
public record RefusalScore(int[] tokens) {
  private static final double EPSILON = 1e-8;
  private static final double LEAST = 0.02;

  /** Added to probabilities inside logarithms, as the authors' code does. */
  static final double INSIDE_LOGARITHM = 1e-6;

  /** {@code log(P + eps) - log(1 - P + eps)} for the probability P of the tokens together. */
  public double of(float[] logits) {
    return ofProbabilities(probabilities(logits));
  }

  double ofProbabilities(double[] p) {
    double refused = Arrays.stream(tokens).mapToDouble(token -> p[token]).sum();
    return Math.log(refused + EPSILON) - Math.log(1 - refused + EPSILON);
  }

  /** The score of each of several prompts. */
  public double[] of(float[][] logits) {
    return Arrays.stream(logits).mapToDouble(this::of).toArray();
  }

  /**
   * The score of tokens that somebody named, or none where none are.
   *
   * @throws HoldfastException if the model has no such token
   */
  public static Optional<RefusalScore> given(List<Integer> tokens, int vocabulary) {
    for (int token : tokens) {
      if (token < 0 || token >= vocabulary) {
        throw HoldfastException.usage(
            "refusal tokens: %d is no token of this model, whose vocabulary ends at %d",
            token, vocabulary - 1);
      }
    }
    return tokens.isEmpty()
        ? Optional.empty()
        : Optional.of(new RefusalScore(tokens.stream().mapToInt(Integer::intValue).toArray()));
  }

  /**
   * The tokens with which a model's own refusals begin: those that it gives, on average over the
   * prompts it refuses, two percent or more, and ten times what it gives them on those it answers.
   *
   * @param refused logits after refused prompts, {@code [n][V]}
   * @param answered logits after answered prompts; may be empty
   * @throws HoldfastException if there is no such token
   */
  public static RefusalScore learnt(float[][] refused, float[][] answered) {
    double[] with = meanProbabilities(refused);
    double[] without = meanProbabilities(answered);
    int[] tokens =
        IntStream.range(0, with.length)
            .filter(t -> with[t] >= LEAST && (answered.length == 0 || with[t] >= 10 * without[t]))
            .toArray();
    if (tokens.length == 0) {
      throw HoldfastException.input(
          "the model's refusals (%d of the prompts) begin with no token of their own; name the"
              + " tokens they begin with (--refusal-tokens), or give a --reference that refuses",
          refused.length);
    }
    return new RefusalScore(tokens);
  }

  private static double[] meanProbabilities(float[][] logits) {
    if (logits.length == 0) {
      return new double[0];
    }
    var mean = new double[logits[0].length];
    for (float[] row : logits) {
      Vectors.add(mean, 1.0 / logits.length, probabilities(row));
    }
    return mean;
  }

  /** {@code KL(before || after)} of the next token's distributions in nats. */
  public static double divergence(float[] before, float[] after) {
    double[] p = probabilities(before);
    double[] q = probabilities(after);
    double sum = 0;
    for (int i = 0; i < p.length; i++) {
      sum += p[i] * (Math.log(p[i] + INSIDE_LOGARITHM) - Math.log(q[i] + INSIDE_LOGARITHM));
    }
    return sum;
  }

  private static double[] probabilities(float[] logits) {
    double max = Double.NEGATIVE_INFINITY;
    for (float logit : logits) {
      max = Math.max(max, logit);
    }
    var p = new double[logits.length];
    double sum = 0;
    for (int i = 0; i < p.length; i++) {
      p[i] = Math.exp(logits[i] - max);
      sum += p[i];
    }
    for (int i = 0; i < p.length; i++) {
      p[i] /= sum;
    }
    return p;
  }
}
