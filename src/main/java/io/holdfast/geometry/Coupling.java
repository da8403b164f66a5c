package io.holdfast.geometry;

import org.apache.commons.math3.special.Gamma;

/**
 * How far a model's harmfulness carrier and its refusal carrier coincide (arXiv 2606.16349, by its
 * public descriptions). A diagnostic, not a safety score: models that refuse nothing and models
 * that refuse rightly can couple alike.
 *
 * @param cosine {@code |h . r|} of the unit carriers
 * @param overlap {@code (1/k) sum cos^2} of the principal angles of the subspaces
 * @param layers {@code exp(-|L_H - L_R| / tau)} of the best layers
 */
public record Coupling(double cosine, double overlap, double layers) {
  /** Blocks over which a distance of layers counts as far. */
  public static final double TAU = 4;

  /** The coupling of two carriers with their subspaces. */
  public static Coupling of(
      Carrier harm,
      Carrier refusal,
      Basis harmSpace,
      Basis refusalSpace,
      int harmLayer,
      int refusalLayer) {
    return new Coupling(
        Math.abs(harm.cosine(refusal)),
        PrincipalAngles.between(harmSpace, refusalSpace).overlap(),
        Math.exp(-Math.abs(harmLayer - refusalLayer) / TAU));
  }

  /** {@code 0.4 cosine + 0.4 overlap + 0.2 layers}. */
  public double hrci() {
    return 0.4 * cosine + 0.4 * overlap + 0.2 * layers;
  }

  /** {@code (cosine + overlap) / 2}, the representational part, which trajectories are drawn in. */
  public double hrciRepresentation() {
    return 0.5 * cosine + 0.5 * overlap;
  }

  /**
   * {@code E |u . v|} of independent uniform unit vectors, {@code Gamma(d/2) / (sqrt(pi)
   * Gamma((d+1)/2))}, about {@code sqrt(2 / (pi d))}: what {@link #cosine} is by chance.
   */
  public static double chanceCosine(int width) {
    return Math.exp(Gamma.logGamma(width / 2.0) - Gamma.logGamma((width + 1) / 2.0))
        / Math.sqrt(Math.PI);
  }

  /** {@code k/d}: what {@link #overlap} is by chance, for subspaces of one rank. */
  public static double chanceOverlap(int width, int rank) {
    return (double) rank / width;
  }
}
