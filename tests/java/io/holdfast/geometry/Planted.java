package io.holdfast.geometry;

import java.util.Random;

/** Activations with known carriers, and rotations that no measure may notice. */
final class Planted {
  private Planted() {}

  static double[][] noise(int n, int d, double deviation, long seed) {
    var random = new Random(seed);
    var rows = new double[n][d];
    for (double[] row : rows) {
      for (int j = 0; j < d; j++) {
        row[j] = deviation * random.nextGaussian();
      }
    }
    return rows;
  }

  /** The noise moved along a direction. */
  static double[][] moved(double[][] rows, double[] direction) {
    var moved = new double[rows.length][];
    for (int i = 0; i < rows.length; i++) {
      moved[i] = rows[i].clone();
      Vectors.add(moved[i], 1, direction);
    }
    return moved;
  }

  static double[] axis(int d, int i, double length) {
    var axis = new double[d];
    axis[i] = length;
    return axis;
  }

  /** Rows in other axes: {@code x Q} for a random orthogonal Q. */
  static double[][] rotated(double[][] rows, long seed) {
    int d = rows[0].length;
    return Vectors.products(rows, Basis.random(d, d, seed).vectors());
  }
}
