package io.holdfast.risk;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** How well probabilities tell two classes apart, and whether they mean what they say. */
public final class Discrimination {
  private Discrimination() {}

  /**
   * A row of a reliability table.
   *
   * @param low least probability in the bin
   * @param high greatest; only the last bin holds it
   * @param count rows in it
   * @param predicted their mean probability, NaN where there are none
   * @param observed the share of them that is dangerous
   */
  public record Bin(double low, double high, int count, double predicted, double observed) {}

  /**
   * Area under the receiver operating characteristic: how often a dangerous row has the higher
   * probability, ties counting half (Mann and Whitney 1947). NaN if a class is empty.
   */
  public static double auroc(double[] dangerous, double[] harmless) {
    double[] sorted = harmless.clone();
    Arrays.sort(sorted);
    double wins = 0;
    for (double p : dangerous) {
      int below = below(sorted, p, false);
      int upTo = below(sorted, p, true);
      wins += below + (upTo - below) / 2.0;
    }
    return wins / ((double) dangerous.length * harmless.length);
  }

  /** How many of the sorted values are less than a value, or at most it. */
  private static int below(double[] sorted, double value, boolean orEqual) {
    int low = 0;
    int high = sorted.length;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (sorted[middle] < value || orEqual && sorted[middle] == value) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** The mean negative log-likelihood of the classes, in nats. */
  public static double logLoss(double[] dangerous, double[] harmless) {
    double sum = 0;
    for (double p : dangerous) {
      sum -= Math.log(Math.max(p, 1e-15));
    }
    for (double p : harmless) {
      sum -= Math.log(Math.max(1 - p, 1e-15));
    }
    return sum / (dangerous.length + harmless.length);
  }

  /** Bins of equal width. */
  public static List<Bin> reliability(double[] dangerous, double[] harmless, int bins) {
    var count = new int[bins];
    var predicted = new double[bins];
    var observed = new double[bins];
    for (int i = 0; i < dangerous.length + harmless.length; i++) {
      boolean positive = i < dangerous.length;
      double p = positive ? dangerous[i] : harmless[i - dangerous.length];
      int bin = (int) Math.clamp(Math.floor(p * bins), 0, bins - 1);
      count[bin]++;
      predicted[bin] += p;
      observed[bin] += positive ? 1 : 0;
    }
    var table = new ArrayList<Bin>();
    for (int bin = 0; bin < bins; bin++) {
      table.add(
          new Bin(
              (double) bin / bins,
              (bin + 1.0) / bins,
              count[bin],
              predicted[bin] / count[bin],
              observed[bin] / count[bin]));
    }
    return table;
  }

  /**
   * Expected calibration error (Naeini et al. 2015): the mean over rows of how far their bin's
   * probability is from its share of dangerous ones.
   */
  public static double calibrationError(double[] dangerous, double[] harmless, int bins) {
    return reliability(dangerous, harmless, bins).stream()
            .filter(bin -> bin.count() > 0)
            .mapToDouble(bin -> bin.count() * Math.abs(bin.predicted() - bin.observed()))
            .sum()
        / (dangerous.length + harmless.length);
  }

  /** The greatest threshold that at least this share of the dangerous rows reaches. */
  public static double threshold(double[] dangerous, double recall) {
    double[] sorted = dangerous.clone();
    Arrays.sort(sorted);
    int needed = Math.clamp((int) Math.ceil(recall * sorted.length), 1, sorted.length);
    return sorted[sorted.length - needed];
  }

  /** The share of rows that reach a threshold. */
  public static double share(double[] rows, double threshold) {
    return Arrays.stream(rows).filter(p -> p >= threshold).count() / (double) rows.length;
  }
}
