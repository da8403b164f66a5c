package io.holdfast.geometry;

import java.util.Arrays;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.SingularValueDecomposition;

/**
 * How two subspaces lie to each other (Björck and Golub 1973): angles between 0, a shared
 * direction, and pi/2.
 *
 * @param cosines of the angles, largest first, as many as the smaller subspace has dimensions
 */
public record PrincipalAngles(double[] cosines) {
  /** The angles between two subspaces of the same space. */
  public static PrincipalAngles between(Basis a, Basis b) {
    var products = Vectors.products(a.vectors(), b.vectors());
    double[] values =
        new SingularValueDecomposition(new Array2DRowRealMatrix(products, false))
            .getSingularValues();
    int count = Math.min(a.rank(), b.rank());
    return new PrincipalAngles(
        Arrays.stream(values).limit(count).map(c -> Math.clamp(c, 0.0, 1.0)).toArray());
  }

  /** The angles in radians, smallest first. */
  public double[] angles() {
    return Arrays.stream(cosines).map(Math::acos).toArray();
  }

  /** {@code (1/k) sum cos^2}: 1 for the same subspace, k/d on average for random ones. */
  public double overlap() {
    return Arrays.stream(cosines).map(c -> c * c).average().orElseThrow();
  }

  /** Length of the geodesic between them, {@code |theta|_2}. */
  public double grassmann() {
    return Math.sqrt(Arrays.stream(angles()).map(t -> t * t).sum());
  }

  /** {@code sqrt(sum sin^2)}. */
  public double chordal() {
    return Math.sqrt(Arrays.stream(cosines).map(c -> 1 - c * c).sum());
  }

  /** The largest angle in radians. */
  public double largest() {
    return Math.acos(cosines[cosines.length - 1]);
  }
}
