package io.holdfast.geometry;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * How well a difference of means tells two classes apart on prompts that it was not fitted to: each
 * half of the prompts is read along the direction of the other half.
 *
 * @param auroc area under the ROC curve, 0.5 by chance
 * @param separation distance of the class means along the direction in standard deviations
 */
public record Readability(double auroc, double separation) {
  /** The mean of both halves; NaN where a half lacks a class. */
  static Readability of(double[][] with, double[][] without) {
    if (Math.min(with.length, without.length) < 2) {
      return new Readability(Double.NaN, Double.NaN);
    }
    double auroc = 0;
    double separation = 0;
    for (int held = 0; held < 2; held++) {
      var carrier = Carrier.between(half(with, 1 - held), half(without, 1 - held));
      double[] high = along(half(with, held), carrier.vector());
      double[] low = along(half(without, held), carrier.vector());
      auroc += auroc(high, low) / 2;
      separation += separation(high, low) / 2;
    }
    return new Readability(auroc, separation);
  }

  private static double[][] half(double[][] rows, int odd) {
    return IntStream.range(0, rows.length)
        .filter(i -> i % 2 == odd)
        .mapToObj(i -> rows[i])
        .toArray(double[][]::new);
  }

  private static double[] along(double[][] rows, double[] direction) {
    return Arrays.stream(rows).mapToDouble(row -> Vectors.dot(row, direction)).toArray();
  }

  /** The share of pairs in the right order, ties counting half. */
  static double auroc(double[] high, double[] low) {
    double right = 0;
    for (double h : high) {
      for (double l : low) {
        right += h > l ? 1 : h == l ? 0.5 : 0;
      }
    }
    return right / ((double) high.length * low.length);
  }

  private static double separation(double[] high, double[] low) {
    double gap = mean(high) - mean(low);
    double spread = Math.sqrt((variance(high) + variance(low)) / 2);
    // Classes without spread of their own, as planted ones are, stand apart by any measure.
    return gap == 0 ? 0 : gap / Math.max(spread, 1e-9 * Math.abs(gap));
  }

  private static double mean(double[] values) {
    return Arrays.stream(values).average().orElseThrow();
  }

  private static double variance(double[] values) {
    double mean = mean(values);
    return Arrays.stream(values).map(v -> (v - mean) * (v - mean)).average().orElseThrow();
  }
}
