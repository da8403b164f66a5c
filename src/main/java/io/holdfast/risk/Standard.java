package io.holdfast.risk;

/**
 * Features as they are best learnt from: {@code (x - mean) / deviation}.
 *
 * @param mean of each feature over the fit
 * @param deviation of each feature over the fit
 */
record Standard(double[] mean, double[] deviation) {
  /** From the rows of both classes. */
  static Standard of(double[][] some, double[][] others) {
    int d = some[0].length;
    int n = some.length + others.length;
    var mean = new double[d];
    var deviation = new double[d];
    for (var rows : new double[][][] {some, others}) {
      for (double[] row : rows) {
        for (int j = 0; j < d; j++) {
          mean[j] += row[j] / n;
        }
      }
    }
    for (var rows : new double[][][] {some, others}) {
      for (double[] row : rows) {
        for (int j = 0; j < d; j++) {
          deviation[j] += (row[j] - mean[j]) * (row[j] - mean[j]) / n;
        }
      }
    }
    for (int j = 0; j < d; j++) {
      deviation[j] = Math.sqrt(deviation[j]) + 1e-9;
    }
    return new Standard(mean, deviation);
  }

  /** One row, standardised. */
  double[] apply(double[] row) {
    var z = new double[row.length];
    for (int j = 0; j < z.length; j++) {
      z[j] = (row[j] - mean[j]) / deviation[j];
    }
    return z;
  }

  /** The rows of both classes, the first ones first. */
  double[][] apply(double[][] some, double[][] others) {
    var z = new double[some.length + others.length][];
    for (int i = 0; i < z.length; i++) {
      z[i] = apply(i < some.length ? some[i] : others[i - some.length]);
    }
    return z;
  }

  static double sigmoid(double x) {
    return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
  }
}
