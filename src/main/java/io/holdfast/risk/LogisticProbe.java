package io.holdfast.risk;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A linear reading of risk from one activation: {@code p = sigmoid(w . (x - mean) / deviation +
 * b)}.
 *
 * @param mean of each feature over the fit
 * @param deviation of each feature over the fit
 * @param weights of the standardised features
 * @param bias intercept
 */
public record LogisticProbe(double[] mean, double[] deviation, double[] weights, double bias)
    implements Classifier {
  private static final int ITERATIONS = 50;
  private static final double CONVERGED = 1e-8;

  /**
   * Fits by Newton's method (iteratively reweighted least squares), which the ridge makes strictly
   * convex, so that separable classes have a finite answer too. Its steps are solved by conjugate
   * gradients, which need no matrix of features times features.
   *
   * @param dangerous activations of the dangerous class, {@code [n][d]}
   * @param harmless activations of the other
   * @param ridge weight of {@code |w|^2 / 2} against the mean log-loss; the bias is free
   */
  public static LogisticProbe fit(double[][] dangerous, double[][] harmless, double ridge) {
    if (dangerous.length == 0 || harmless.length == 0) {
      throw new IllegalArgumentException("a probe needs prompts of both classes");
    }
    int d = dangerous[0].length;
    var standard = Standard.of(dangerous, harmless);
    double[][] z = standard.apply(dangerous, harmless);
    for (int i = 0; i < z.length; i++) {
      z[i] = Arrays.copyOf(z[i], d + 1);
      z[i][d] = 1;
    }
    var theta = new double[d + 1];
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
    return new LogisticProbe(
        standard.mean(), standard.deviation(), Arrays.copyOf(theta, d), theta[d]);
  }

  private static double[] newton(double[][] z, double[] theta, int positives, double ridge) {
    int n = z.length;
    var gradient = ridged(new double[theta.length], theta, ridge);
    var curvature = new double[n];
    for (int i = 0; i < n; i++) {
      double p = Standard.sigmoid(dot(z[i], theta));
      curvature[i] = p * (1 - p) / n;
      add(gradient, (p - (i < positives ? 1 : 0)) / n, z[i]);
    }
    return solve(z, curvature, ridge, gradient);
  }

  /** Conjugate gradients (Hestenes and Stiefel 1952) for the Hessian {@code Z^T C Z + ridge}. */
  private static double[] solve(double[][] z, double[] curvature, double ridge, double[] target) {
    var x = new double[target.length];
    double[] residual = target.clone();
    double[] direction = target.clone();
    double squared = dot(residual, residual);
    double enough = 1e-24 * squared;
    for (int i = 0; i < 10 * target.length && squared > enough; i++) {
      var image = ridged(new double[x.length], direction, ridge);
      for (int row = 0; row < z.length; row++) {
        add(image, curvature[row] * dot(z[row], direction), z[row]);
      }
      double step = squared / dot(direction, image);
      add(x, step, direction);
      add(residual, -step, image);
      double next = dot(residual, residual);
      double share = next / squared;
      for (int j = 0; j < direction.length; j++) {
        direction[j] = residual[j] + share * direction[j];
      }
      squared = next;
    }
    return x;
  }

  /** Adds the ridge's part of a gradient, almost none of which is the bias's. */
  private static double[] ridged(double[] sum, double[] vector, double ridge) {
    for (int j = 0; j < vector.length; j++) {
      sum[j] += (j == vector.length - 1 ? 1e-12 : ridge) * vector[j];
    }
    return sum;
  }

  @Override
  public double risk(double[] activation) {
    double sum = bias;
    for (int j = 0; j < weights.length; j++) {
      sum += weights[j] * (activation[j] - mean[j]) / deviation[j];
    }
    return Standard.sigmoid(sum);
  }

  @Override
  public int width() {
    return weights.length;
  }

  @Override
  public Map<String, double[][]> parameters() {
    var parameters = new LinkedHashMap<String, double[][]>();
    parameters.put("mean", new double[][] {mean});
    parameters.put("deviation", new double[][] {deviation});
    parameters.put("weights", new double[][] {weights});
    parameters.put("bias", new double[][] {{bias}});
    return parameters;
  }

  private static void add(double[] sum, double factor, double[] vector) {
    for (int j = 0; j < sum.length; j++) {
      sum[j] += factor * vector[j];
    }
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int j = 0; j < a.length; j++) {
      sum += a[j] * b[j];
    }
    return sum;
  }
}
