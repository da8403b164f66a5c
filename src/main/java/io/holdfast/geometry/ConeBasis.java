package io.holdfast.geometry;

import io.holdfast.torch.Tensors;
import java.util.Arrays;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * An orthonormal basis on its way down a gradient: each vector is led along the sphere by AdamW
 * with AMSGrad and without decay (Reddi et al. 2018), after which the basis is made orthonormal
 * again, the first vectors first.
 */
final class ConeBasis {
  private static final double BETA1 = 0.9;
  private static final double BETA2 = 0.98;
  private static final double EPSILON = 1e-8;
  private static final double CLIP = 10;

  private double[][] vectors;
  private final double[][] first;
  private final double[][] second;
  private final double[][] largest;
  private int steps;

  /** A basis that has not moved. */
  ConeBasis(Basis start) {
    this.vectors = start.vectors();
    this.first = new double[start.rank()][start.width()];
    this.second = new double[start.rank()][start.width()];
    this.largest = new double[start.rank()][start.width()];
  }

  /** Where it is now. */
  Basis basis() {
    return new Basis(vectors);
  }

  /** The vectors {@code [k, d]} as a leaf that takes gradients. */
  Tensor leaf() {
    return Tensors.of(vectors).to(ScalarType.Float).detach().requires_grad_(true);
  }

  /**
   * Goes one step down.
   *
   * @param gradient {@code [k, d]}; of each vector's part the component along the vector is left
   *     out, which would only change its length
   */
  void step(Tensor gradient, double rate) {
    int width = vectors[0].length;
    double[] flat = Tensors.doubles(gradient);
    var along = new double[vectors.length][];
    double square = 0;
    for (int i = 0; i < vectors.length; i++) {
      double[] g = Arrays.copyOfRange(flat, i * width, (i + 1) * width);
      Vectors.add(g, -Vectors.dot(g, vectors[i]), vectors[i]);
      along[i] = g;
      square += Vectors.dot(g, g);
    }
    double clipped = Math.min(1, CLIP / (Math.sqrt(square) + 1e-6));
    steps++;
    double bias1 = 1 - Math.pow(BETA1, steps);
    double bias2 = Math.sqrt(1 - Math.pow(BETA2, steps));
    var moved = new double[vectors.length][width];
    for (int i = 0; i < moved.length; i++) {
      for (int j = 0; j < width; j++) {
        double g = clipped * along[i][j];
        first[i][j] = BETA1 * first[i][j] + (1 - BETA1) * g;
        second[i][j] = BETA2 * second[i][j] + (1 - BETA2) * g * g;
        largest[i][j] = Math.max(largest[i][j], second[i][j]);
        double scale = Math.sqrt(largest[i][j]) / bias2 + EPSILON;
        moved[i][j] = vectors[i][j] - rate / bias1 * first[i][j] / scale;
      }
    }
    vectors = Basis.span(Arrays.asList(moved)).vectors();
  }
}
