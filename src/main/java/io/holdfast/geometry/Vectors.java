package io.holdfast.geometry;

/** The few operations on vectors and rows of vectors that geometry is written in, in float64. */
final class Vectors {
  private Vectors() {}

  static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  static double norm(double[] a) {
    return Math.sqrt(dot(a, a));
  }

  static double[] minus(double[] a, double[] b) {
    var difference = new double[a.length];
    for (int i = 0; i < a.length; i++) {
      difference[i] = a[i] - b[i];
    }
    return difference;
  }

  static double[] scaled(double[] a, double factor) {
    var scaled = new double[a.length];
    for (int i = 0; i < a.length; i++) {
      scaled[i] = factor * a[i];
    }
    return scaled;
  }

  /** {@code a += factor b}. */
  static void add(double[] a, double factor, double[] b) {
    for (int i = 0; i < a.length; i++) {
      a[i] += factor * b[i];
    }
  }

  /** The mean of rows. */
  static double[] mean(double[][] rows) {
    var mean = new double[rows[0].length];
    for (double[] row : rows) {
      add(mean, 1.0 / rows.length, row);
    }
    return mean;
  }

  /** Rows minus their mean. */
  static double[][] centred(double[][] rows) {
    double[] mean = mean(rows);
    var centred = new double[rows.length][];
    for (int i = 0; i < rows.length; i++) {
      centred[i] = minus(rows[i], mean);
    }
    return centred;
  }

  /** {@code a b^T}: every row of one with every row of the other. */
  static double[][] products(double[][] a, double[][] b) {
    var products = new double[a.length][b.length];
    for (int i = 0; i < a.length; i++) {
      for (int j = 0; j < b.length; j++) {
        products[i][j] = dot(a[i], b[j]);
      }
    }
    return products;
  }
}
