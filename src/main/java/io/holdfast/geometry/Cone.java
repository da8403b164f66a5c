package io.holdfast.geometry;

import java.util.Arrays;
import org.apache.commons.math3.stat.descriptive.rank.Percentile;

/**
 * The cone that harmful prompts form as seen from the benign mean: {@code c_i = unit(h_i -
 * mean_benign)} around the axis {@code unit(mean c_i)}.
 *
 * @param axis {@code [d]}, of length 1
 * @param aperture mean angle of the rays to the axis, radians
 * @param aperture95 95th percentile of that angle
 * @param concentration {@code |mean c_i|}: 1 for a single ray, towards 0 for rays all around
 */
public record Cone(double[] axis, double aperture, double aperture95, double concentration) {
  /** The cone of activations {@code [n][d]} as seen from the mean of others. */
  public static Cone of(double[][] harmful, double[][] benign) {
    double[] apex = Vectors.mean(benign);
    var rays =
        rays(Arrays.stream(harmful).map(row -> Vectors.minus(row, apex)).toArray(double[][]::new));
    double[] mean = Vectors.mean(rays);
    double concentration = Vectors.norm(mean);
    double[] axis = Vectors.scaled(mean, 1 / concentration);
    double[] angles =
        Arrays.stream(rays).mapToDouble(ray -> angle(Vectors.dot(ray, axis))).toArray();
    return new Cone(
        axis,
        Arrays.stream(angles).average().orElseThrow(),
        new Percentile().withEstimationType(Percentile.EstimationType.R_7).evaluate(angles, 95),
        concentration);
  }

  /** Differences scaled to length 1; those that are zero point nowhere and are left out. */
  public static double[][] rays(double[][] differences) {
    return Arrays.stream(differences)
        .filter(row -> Vectors.norm(row) > 0)
        .map(row -> Vectors.scaled(row, 1 / Vectors.norm(row)))
        .toArray(double[][]::new);
  }

  /** Angle between the axes of two cones, radians. */
  public double axisDrift(Cone other) {
    return angle(Vectors.dot(axis, other.axis));
  }

  private static double angle(double cosine) {
    return Math.acos(Math.clamp(cosine, -1, 1));
  }
}
