package io.holdfast.risk;

import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.ArrayRealVector;
import org.apache.commons.math3.linear.CholeskyDecomposition;

/**
 * A linear reading of risk from one activation: {@code p = sigmoid(w . (x - mean) / deviation +
 * b)}.
 *
 * @param mean of each feature over the fit
 * @param deviation of each feature over the fit
 * @param weights of the standardised features
 * @param bias intercept
 */
public record LogisticProbe(double[] mean, double[] deviation, double[] weights, double bias) {
  private static final int ITERATIONS = 50;
  private static final double CONVERGED = 1e-8;

  /**
   * Fits by Newton's method (iteratively reweighted least squares), which the ridge makes strictly
   * convex, so that separable classes have a finite answer too.
   *
   * @param dangerous activations of the dangerous class, {@code [n][d]}
   * @param harmless activations of the other
   * @param ridge weight of {@code |w|^2 / 2} against the mean log-loss; the bias is free
   */
  public static LogisticProbe fit(double[][] dangerous, double[][] harmless, double ridge) {
    if (dangerous.length == 0 || harmless.length == 0) {
      throw new IllegalArgumentException("a probe needs prompts of both classes");
    }
    int n = dangerous.length + harmless.length;
    int d = dangerous[0].length;
    var x = new double[n][];
    System.arraycopy(dangerous, 0, x, 0, dangerous.length);
    System.arraycopy(harmless, 0, x, dangerous.length, harmless.length);
    var mean = new double[d];
    var deviation = new double[d];
    for (double[] row : x) {
      for (int j = 0; j < d; j++) {
        mean[j] += row[j] / n;
      }
    }
    for (double[] row : x) {
      for (int j = 0; j < d; j++) {
        deviation[j] += (row[j] - mean[j]) * (row[j] - mean[j]) / n;
      }
    }
    for (int j = 0; j < d; j++) {
      deviation[j] = Math.sqrt(deviation[j]) + 1e-9;
    }
    var theta = new double[d + 1];
    var z = new double[n][d + 1];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < d; j++) {
        z[i][j] = (x[i][j] - mean[j]) / deviation[j];
      }
      z[i][d] = 1;
    }
    for (int iteration = 0; iteration < ITERATIONS; iteration++) {
      double[] step = newton(z, theta, dangerous.length, ridge);
      double largest = 0;
      for (int j = 0; j <= d; j++) {
        theta[j] -= step[j];
        largest = Math.max(largest, Math.abs(step[j]));
      }
      if (largest < CONVERGED) {
        break;
      }
    }
    return new LogisticProbe(mean, deviation, java.util.Arrays.copyOf(theta, d), theta[d]);
  }

  private static double[] newton(double[][] z, double[] theta, int positives, double ridge) {
    int n = z.length;
    int m = theta.length;
    var gradient = new double[m];
    var hessian = new double[m][m];
    for (int i = 0; i < n; i++) {
      double p = sigmoid(dot(z[i], theta));
      double residual = (p - (i < positives ? 1 : 0)) / n;
      double curvature = p * (1 - p) / n;
      for (int j = 0; j < m; j++) {
        gradient[j] += residual * z[i][j];
        for (int k = 0; k <= j; k++) {
          hessian[j][k] += curvature * z[i][j] * z[i][k];
        }
      }
    }
    for (int j = 0; j < m; j++) {
      boolean bias = j == m - 1;
      gradient[j] += bias ? 0 : ridge * theta[j];
      hessian[j][j] += bias ? 1e-12 : ridge;
      for (int k = 0; k < j; k++) {
        hessian[k][j] = hessian[j][k];
      }
    }
    return new CholeskyDecomposition(new Array2DRowRealMatrix(hessian, false), 1e-9, 0)
        .getSolver()
        .solve(new ArrayRealVector(gradient, false))
        .toArray();
  }

  /** Probability that an activation belongs to the dangerous class. */
  public double risk(double[] activation) {
    double sum = bias;
    for (int j = 0; j < weights.length; j++) {
      sum += weights[j] * (activation[j] - mean[j]) / deviation[j];
    }
    return sigmoid(sum);
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int j = 0; j < a.length; j++) {
      sum += a[j] * b[j];
    }
    return sum;
  }

  private static double sigmoid(double x) {
    return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
  }
}
