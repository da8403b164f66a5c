package io.holdfast.geometry;

import io.holdfast.HoldfastException;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * How near a model is to a refusal before it says anything: the log-odds that its answer begins
 * with one of some tokens (Arditi et al. 2024, section 2.3), in float64.
 *
 * @param tokens with which refusals begin
 */
public record RefusalScore(int[] tokens) {
  private static final double EPSILON = 1e-8;

  /** {@code log(P + eps) - log(1 - P + eps)} for the probability P of the tokens together. */
  public double of(float[] logits) {
    double[] p = probabilities(logits);
    double refused = Arrays.stream(tokens).mapToDouble(token -> p[token]).sum();
    return Math.log(refused + EPSILON) - Math.log(1 - refused + EPSILON);
  }

  /** The score of each of several prompts. */
  public double[] of(float[][] logits) {
    return Arrays.stream(logits).mapToDouble(this::of).toArray();
  }

  /**
   * The tokens with which a model's own refusals begin: the most frequent first tokens, as many as
   * nine refusals in ten begin with.
   *
   * @param refusals the answers' tokens
   * @throws HoldfastException if there is no refusal
   */
  public static RefusalScore learnt(List<int[]> refusals) {
    var counts = new HashMap<Integer, Integer>();
    int all = 0;
    for (int[] refusal : refusals) {
      if (refusal.length > 0) {
        counts.merge(refusal[0], 1, Integer::sum);
        all++;
      }
    }
    if (all == 0) {
      throw HoldfastException.input(
          "the model refuses none of the prompts, so that the first tokens of its refusals are not"
              + " known; name them (--refusal-tokens)");
    }
    var byCount =
        counts.entrySet().stream()
            .sorted(
                Comparator.comparing((Map.Entry<Integer, Integer> e) -> -e.getValue())
                    .thenComparing(Map.Entry::getKey))
            .toList();
    int covered = 0;
    int used = 0;
    while (covered < 0.9 * all) {
      covered += byCount.get(used++).getValue();
    }
    return new RefusalScore(
        byCount.stream().limit(used).mapToInt(Map.Entry::getKey).sorted().toArray());
  }

  /**
   * {@code KL(before || after)} of the next token's distributions in nats; 1e-6 is added inside the
   * logarithms, as the authors' code does.
   */
  public static double divergence(float[] before, float[] after) {
    double[] p = probabilities(before);
    double[] q = probabilities(after);
    double sum = 0;
    for (int i = 0; i < p.length; i++) {
      sum += p[i] * (Math.log(p[i] + 1e-6) - Math.log(q[i] + 1e-6));
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
