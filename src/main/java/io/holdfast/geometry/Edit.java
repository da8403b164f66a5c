package io.holdfast.geometry;

import io.holdfast.torch.Tensors;
import java.util.Arrays;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/** What is done to a hidden state {@code x [d]}. */
public sealed interface Edit {
  /** The states {@code [..., d]} after the edit, in their own type; computed in float32. */
  Tensor apply(Tensor states);

  /** {@code x + by}. */
  record Shift(double[] by) implements Edit {
    @Override
    public Tensor apply(Tensor states) {
      var wide = states.to(ScalarType.Float);
      return wide.add(matrix(new double[][] {by})).to(states.scalar_type());
    }
  }

  /**
   * {@code x - W^T (R x - target)}: what is read along {@code R} becomes {@code target} where the
   * rows of {@code R} are orthonormal and {@code W = R}.
   *
   * @param read {@code R [k][d]}
   * @param write {@code W [k][d]}
   * @param target {@code [1][k]}, or {@code [tokens][k]} with one for each token that is reached;
   *     zeros ablate
   */
  record Rewrite(double[][] read, double[][] write, double[][] target) implements Edit {
    /** What lies in one subspace goes to where it is at centres {@code [1 or tokens][d]}. */
    static Rewrite centring(Basis read, Basis written, double[][] centres) {
      double[][] target = Arrays.stream(centres).map(read::coefficients).toArray(double[][]::new);
      return new Rewrite(read.vectors(), written.vectors(), target);
    }

    @Override
    public Tensor apply(Tensor states) {
      var wide = states.to(ScalarType.Float);
      return wide.sub(along(coefficients(wide))).to(states.scalar_type());
    }

    /** {@code R x - target}, of float32 states. */
    Tensor coefficients(Tensor wide) {
      return wide.matmul(matrix(read).t()).sub(matrix(target));
    }

    /** {@code W^T c} of coefficients. */
    Tensor along(Tensor coefficients) {
      return coefficients.matmul(matrix(write));
    }
  }

  /** {@code x - (x . u) u} for a vector of length 1, {@code [1, d]}, which gradients reach. */
  record Removal(Tensor unit) implements Edit {
    @Override
    public Tensor apply(Tensor states) {
      var wide = states.to(ScalarType.Float);
      return wide.sub(wide.matmul(unit.t()).mul(unit)).to(states.scalar_type());
    }
  }

  /** {@code x + v} for a vector {@code [1, d]} that gradients reach. */
  record Addition(Tensor vector) implements Edit {
    @Override
    public Tensor apply(Tensor states) {
      return states.to(ScalarType.Float).add(vector).to(states.scalar_type());
    }
  }

  private static Tensor matrix(double[][] rows) {
    int width = rows[0].length;
    var values = new float[rows.length * width];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) rows[i / width][i % width];
    }
    return Tensors.of(values, rows.length, width);
  }
}
