package io.holdfast.geometry;

import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/**
 * How alike two models represent the same prompts, whatever the axes: {@code X} and {@code Y} are
 * {@code [n][d]}, row i of both from prompt i.
 */
public final class Similarity {
  private Similarity() {}

  /**
   * Linear centred kernel alignment (Kornblith et al. 2019): {@code |Y^T X|_F^2 / (|X^T X|_F |Y^T
   * Y|_F)} of centred columns, in [0, 1]. It is biased upwards where n is not far above d.
   */
  public static double cka(double[][] x, double[][] y) {
    double[][] k = centredGram(x, y);
    double[][] l = centredGram(y, x);
    return trace(k, l) / Math.sqrt(trace(k, k) * trace(l, l));
  }

  private static double[][] centredGram(double[][] rows, double[][] other) {
    requirePairs(rows, other, 2);
    var centred = Vectors.centred(rows);
    return Vectors.products(centred, centred);
  }

  /**
   * The same with the unbiased estimator of HSIC (Song et al. 2012, eq. 5), around 0 for unrelated
   * representations however few prompts there are.
   *
   * @throws IllegalArgumentException for fewer than four prompts
   */
  public static double unbiasedCka(double[][] x, double[][] y) {
    requirePairs(x, y, 4);
    double[][] k = withoutDiagonal(Vectors.products(x, x));
    double[][] l = withoutDiagonal(Vectors.products(y, y));
    return hsic(k, l) / Math.sqrt(hsic(k, k) * hsic(l, l));
  }

  private static double hsic(double[][] k, double[][] l) {
    int n = k.length;
    var sumsK = new double[n];
    var sumsL = new double[n];
    for (int i = 0; i < n; i++) {
      sumsK[i] = Arrays.stream(k[i]).sum();
      sumsL[i] = Arrays.stream(l[i]).sum();
    }
    double all = Arrays.stream(sumsK).sum() * Arrays.stream(sumsL).sum();
    return (trace(k, l) + all / ((n - 1.0) * (n - 2.0)) - 2 * Vectors.dot(sumsK, sumsL) / (n - 2.0))
        / (n * (n - 3.0));
  }

  /**
   * What no rotation explains (orthogonal Procrustes): {@code 2 - 2 |X^T Y|_*} after centring and
   * scaling both to unit Frobenius norm; 0 for rotated copies, at most 2.
   */
  public static double procrustes(double[][] x, double[][] y) {
    requirePairs(x, y, 2);
    try (var scope = Scope.open()) {
      var a = Tensors.of(unit(Vectors.centred(x)));
      var b = Tensors.of(unit(Vectors.centred(y)));
      // With fewer prompts than dimensions the factors R of X^T = Q R, which are n x n, hold all.
      boolean few = x.length < x[0].length;
      var product = few ? factor(a).mm(factor(b).t()) : a.t().mm(b);
      double nuclear = Arrays.stream(Tensors.doubles(torch.linalg_svdvals(product))).sum();
      return Math.max(0, 2 - 2 * nuclear);
    }
  }

  private static Tensor factor(Tensor rows) {
    return torch.linalg_qr(rows.t(), "r").get1();
  }

  private static double[][] unit(double[][] rows) {
    double norm = Math.sqrt(Arrays.stream(rows).mapToDouble(r -> Vectors.dot(r, r)).sum());
    return Arrays.stream(rows).map(r -> Vectors.scaled(r, 1 / norm)).toArray(double[][]::new);
  }

  private static double[][] withoutDiagonal(double[][] gram) {
    for (int i = 0; i < gram.length; i++) {
      gram[i][i] = 0;
    }
    return gram;
  }

  /** {@code tr(A B)} of symmetric matrices. */
  private static double trace(double[][] a, double[][] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += Vectors.dot(a[i], b[i]);
    }
    return sum;
  }

  private static void requirePairs(double[][] x, double[][] y, int least) {
    if (x.length != y.length || x.length < least) {
      throw new IllegalArgumentException(
          "representations of the same prompts are compared, at least %d; these are %d and %d"
              .formatted(least, x.length, y.length));
    }
  }
}
