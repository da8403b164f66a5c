package io.holdfast.geometry;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.ToDoubleFunction;
import org.apache.commons.math3.stat.correlation.SpearmansCorrelation;
import org.apache.commons.math3.stat.descriptive.rank.Percentile;

/**
 * A number with what says how much it means.
 *
 * @param value on the sample as it is
 * @param low lower end of the interval
 * @param high upper end
 */
public record Estimate(double value, double low, double high) {
  /**
   * The percentile bootstrap (Efron 1979) over prompts: indices are drawn with replacement.
   *
   * @param prompts number of prompts
   * @param statistic of the prompts at these indices; draws on which it is not finite do not count
   * @param draws 200 are enough for an interval
   * @param confidence such as 0.95
   */
  public static Estimate bootstrap(
      int prompts, ToDoubleFunction<int[]> statistic, int draws, double confidence, long seed) {
    var random = new SplittableRandom(seed);
    var values = new double[draws];
    for (int draw = 0; draw < draws; draw++) {
      values[draw] = statistic.applyAsDouble(random.ints(prompts, 0, prompts).toArray());
    }
    double whole = statistic.applyAsDouble(java.util.stream.IntStream.range(0, prompts).toArray());
    return drawn(whole, values, confidence);
  }

  /**
   * A value with the percentiles of what it was on draws; those that are not finite do not count.
   */
  public static Estimate drawn(double value, double[] draws, double confidence) {
    double[] values = Arrays.stream(draws).filter(Double::isFinite).toArray();
    if (values.length == 0) {
      return new Estimate(value, Double.NaN, Double.NaN);
    }
    var percentile = new Percentile().withEstimationType(Percentile.EstimationType.R_7);
    double tail = 50 * (1 - confidence);
    return new Estimate(
        value, percentile.evaluate(values, tail), percentile.evaluate(values, 100 - tail));
  }

  /**
   * How often a shuffling of the labels gives as much: {@code (1 + hits) / (1 + draws)} (Phipson
   * and Smyth 2010), never 0.
   *
   * @param items number of labelled items
   * @param statistic of an order of the items; the identity is the data as they are
   */
  public static double permutationP(
      int items, ToDoubleFunction<int[]> statistic, int draws, long seed) {
    var random = new SplittableRandom(seed);
    int[] order = java.util.stream.IntStream.range(0, items).toArray();
    double observed = statistic.applyAsDouble(order.clone());
    int hits = 0;
    for (int draw = 0; draw < draws; draw++) {
      for (int i = items - 1; i > 0; i--) {
        int j = random.nextInt(i + 1);
        int swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
      }
      hits += statistic.applyAsDouble(order.clone()) >= observed ? 1 : 0;
    }
    return (1.0 + hits) / (1 + draws);
  }

  /** Spearman's rank correlation with its bootstrap interval over the pairs. */
  public static Estimate spearman(double[] x, double[] y, int draws, long seed) {
    if (x.length != y.length || x.length < 3) {
      throw new IllegalArgumentException(
          "a correlation needs at least three pairs, there are %d".formatted(x.length));
    }
    var ranks = new SpearmansCorrelation();
    return bootstrap(
        x.length,
        indices ->
            ranks.correlation(
                Arrays.stream(indices).mapToDouble(i -> x[i]).toArray(),
                Arrays.stream(indices).mapToDouble(i -> y[i]).toArray()),
        draws,
        0.95,
        seed);
  }
}
