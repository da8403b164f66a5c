package io.holdfast.guard;

/**
 * How prompts lie to each other inside a subspace: the cosines of their angles, and how far those
 * of a model are from those of its reference,
 *
 * <pre>
 * L(S) = || G(S) - G_ref ||_F^2 / || G_ref ||_F^2      G(S)_ij = cos(s_i, s_j)
 * </pre>
 *
 * in float64.
 */
final class CosineGram {
  private final double[][] reference;
  private final double norm;

  /**
   * The geometry to keep.
   *
   * @param reference coefficients of the reference, {@code [n][k]}
   */
  CosineGram(double[][] reference) {
    this.reference = gram(units(reference));
    double sum = 0;
    for (double[] row : this.reference) {
      for (double cosine : row) {
        sum += cosine * cosine;
      }
    }
    this.norm = sum;
  }

  /** The distance of other coefficients of the same prompts. */
  double distance(double[][] s) {
    double[][] g = gram(units(s));
    double sum = 0;
    for (int i = 0; i < g.length; i++) {
      for (int j = 0; j < g.length; j++) {
        double off = g[i][j] - reference[i][j];
        sum += off * off;
      }
    }
    return sum / norm;
  }

  /**
   * The gradient of {@link #distance}, {@code [n][k]}: {@code 4 (G - G_ref) S / |G_ref|^2} of unit
   * rows, without what only lengthens a row, over its length.
   */
  double[][] gradient(double[][] s) {
    double[][] unit = units(s);
    double[][] g = gram(unit);
    int n = s.length;
    int k = s[0].length;
    var gradient = new double[n][k];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        double factor = 4 * (g[i][j] - reference[i][j]) / norm;
        for (int c = 0; c < k; c++) {
          gradient[i][c] += factor * unit[j][c];
        }
      }
      double along = dot(gradient[i], unit[i]);
      double length = length(s[i]);
      for (int c = 0; c < k; c++) {
        gradient[i][c] = (gradient[i][c] - along * unit[i][c]) / length;
      }
    }
    return gradient;
  }

  private static double[][] units(double[][] rows) {
    var units = new double[rows.length][];
    for (int i = 0; i < rows.length; i++) {
      double length = length(rows[i]);
      units[i] = new double[rows[i].length];
      for (int c = 0; c < units[i].length; c++) {
        units[i][c] = rows[i][c] / length;
      }
    }
    return units;
  }

  /** A row of zeros has no angle: it counts as tiny. */
  private static double length(double[] row) {
    return Math.max(1e-12, Math.sqrt(dot(row, row)));
  }

  private static double[][] gram(double[][] units) {
    var gram = new double[units.length][units.length];
    for (int i = 0; i < units.length; i++) {
      for (int j = 0; j < units.length; j++) {
        gram[i][j] = dot(units[i], units[j]);
      }
    }
    return gram;
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }
}
