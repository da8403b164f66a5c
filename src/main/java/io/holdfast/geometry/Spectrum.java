package io.holdfast.geometry;

import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import org.bytedeco.pytorch.global.torch;

/**
 * Over how many directions activations spread.
 *
 * @param shares {@code p_i = s_i^2 / sum s^2} of the singular values, largest first
 */
public record Spectrum(double[] shares) {
  /** The spectrum of rows {@code [n][d]}, as they are: centre them first where that is meant. */
  public static Spectrum of(double[][] rows) {
    try (var scope = Scope.open()) {
      double[] values = Tensors.doubles(torch.linalg_svdvals(Tensors.of(rows)));
      double all = Vectors.dot(values, values);
      return new Spectrum(Arrays.stream(values).map(s -> s * s / all).toArray());
    }
  }

  /** {@code exp(-sum p log p)} (Roy and Vetterli 2007). */
  public double effectiveRank() {
    return Math.exp(-Arrays.stream(shares).filter(p -> p > 0).map(p -> p * Math.log(p)).sum());
  }

  /** {@code 1 / sum p^2}. */
  public double participationRatio() {
    return 1 / Vectors.dot(shares, shares);
  }

  /** How many directions hold this share of the energy. */
  public int rankFor(double share) {
    double sum = 0;
    for (int i = 0; i < shares.length; i++) {
      sum += shares[i];
      if (sum >= share - 1e-12) {
        return i + 1;
      }
    }
    return shares.length;
  }
}
