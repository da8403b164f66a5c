package io.holdfast.geometry;

import java.util.Arrays;

/**
 * How far a checkpoint moved from its reference at one layer: the carrier and the cone of a
 * contrast, and the states of all prompts.
 *
 * @param direction {@code 1 - cos} between the carriers
 * @param magnitude {@code log(|v_t| / |v_0|)}
 * @param relative mean over prompts of {@code |h_t - h_0| / |h_0|}
 * @param safetyShare {@code sum |P (h_t - h_0)|^2 / sum |h_t - h_0|^2} for the safety subspace; NaN
 *     where nothing moved
 * @param chance the share that movement without regard to the subspace would have, k/d
 * @param axis angle between the axes of the cones, radians
 * @param aperture by how much the mean angle of the rays to the axis grew, radians
 */
public record Drift(
    double direction,
    double magnitude,
    double relative,
    double safetyShare,
    double chance,
    double axis,
    double aperture) {
  /**
   * The drift of one layer.
   *
   * @param classes0 activations of the reference by class, which may differ from those now
   * @param classes activations of the checkpoint by class
   * @param before activations of the reference, {@code [n][d]}
   * @param after activations of the checkpoint on the same prompts
   */
  public static Drift of(
      Contrast classes0, Contrast classes, double[][] before, double[][] after, Basis safety) {
    var was = classes0.carrier();
    var is = classes.carrier();
    var cone0 = classes0.cone();
    var cone = classes.cone();
    var moved = new double[before.length][];
    double relative = 0;
    for (int i = 0; i < moved.length; i++) {
      moved[i] = Vectors.minus(after[i], before[i]);
      relative += Vectors.norm(moved[i]) / Vectors.norm(before[i]) / moved.length;
    }
    boolean still = Arrays.stream(moved).allMatch(row -> Vectors.norm(row) == 0);
    return new Drift(
        1 - was.cosine(is),
        Math.log(is.norm() / was.norm()),
        relative,
        still ? Double.NaN : safety.share(moved),
        (double) safety.rank() / safety.width(),
        cone0.axisDrift(cone),
        cone.aperture() - cone0.aperture());
  }
}
