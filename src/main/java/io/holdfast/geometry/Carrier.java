package io.holdfast.geometry;

import java.util.Arrays;

/**
 * The direction that carries a concept at one layer and position: the difference of two class means
 * (Arditi et al. 2024, section 2.3). It keeps its length, which additions are measured in.
 *
 * @param vector {@code [d]}, not normalised
 */
public record Carrier(double[] vector) {
  /**
   * The mean of one class minus the mean of the other, in float64.
   *
   * @param with activations of prompts that show the concept, {@code [n][d]}
   * @param without activations of prompts that do not
   * @throws IllegalArgumentException if a class is empty, or its activations are not finite
   */
  public static Carrier between(double[][] with, double[][] without) {
    if (with.length == 0 || without.length == 0) {
      throw new IllegalArgumentException(
          "a carrier needs prompts of both classes; there are %d with and %d without"
              .formatted(with.length, without.length));
    }
    var carrier = new Carrier(Vectors.minus(Vectors.mean(with), Vectors.mean(without)));
    if (!Double.isFinite(carrier.norm())) {
      throw new IllegalArgumentException("an activation is not finite");
    }
    return carrier;
  }

  /** Each prompt of one class minus the mean of the other, {@code [n][d]}. */
  public static double[][] differences(double[][] with, double[][] without) {
    double[] mean = Vectors.mean(without);
    return Arrays.stream(with).map(row -> Vectors.minus(row, mean)).toArray(double[][]::new);
  }

  /** The mean of a class, {@code [d]}. */
  public static double[] mean(double[][] rows) {
    return Vectors.mean(rows);
  }

  /** Length of the difference. */
  public double norm() {
    return Vectors.norm(vector);
  }

  /**
   * The direction, of length 1.
   *
   * @throws IllegalStateException if the classes have the same mean
   */
  public double[] unit() {
    double norm = norm();
    if (norm == 0) {
      throw new IllegalStateException("the classes have the same mean: there is no direction");
    }
    return Vectors.scaled(vector, 1 / norm);
  }

  /** The same direction, so many times as long. */
  public Carrier times(double factor) {
    return new Carrier(Vectors.scaled(vector, factor));
  }

  /** Cosine of the angle to another carrier, in [-1, 1]. */
  public double cosine(Carrier other) {
    return Math.clamp(Vectors.dot(unit(), other.unit()), -1, 1);
  }
}
