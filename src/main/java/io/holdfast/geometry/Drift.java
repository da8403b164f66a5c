package io.holdfast.geometry;

import java.util.Arrays;

/**
 * How far a checkpoint moved from its reference at one layer.
 *
 * @param direction {@code 1 - cos} between the carriers
 * @param magnitude {@code log(|v_t| / |v_0|)}
 * @param relative mean over prompts of {@code |h_t - h_0| / |h_0|}
 * @param safetyShare {@code sum |P (h_t - h_0)|^2 / sum |h_t - h_0|^2} for the safety subspace; NaN
 *     where nothing moved
 * @param chance the share that movement without regard to the subspace would have, k/d
 */
public record Drift(
    double direction, double magnitude, double relative, double safetyShare, double chance) {
  /**
   * The drift of one layer.
   *
   * @param before activations of the reference, {@code [n][d]}
   * @param after activations of the checkpoint on the same prompts
   */
  public static Drift of(
      Carrier was, Carrier is, double[][] before, double[][] after, Basis safety) {
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
        (double) safety.rank() / safety.width());
  }
}
