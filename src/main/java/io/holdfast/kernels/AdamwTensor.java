package io.holdfast.kernels;

import java.lang.foreign.MemorySegment;

/**
 * One parameter of an AdamW step. All matrices have the parameter's shape.
 *
 * @param parameter updated
 * @param gradient read
 * @param firstMoment updated, float32
 * @param secondMoment updated, float32
 * @param weightDecay decoupled decay
 * @param reference weights that {@code pull} draws towards, or null
 * @param pull strength of the pull, 0 for none
 * @param basis {@code [rows, k]} orthonormal columns that the gradient must not touch (a residual
 *     writer's output space), or null
 * @param scratch float32 {@code [k * columns]} where there is a basis, else null
 */
public record AdamwTensor(
    Matrix parameter,
    Matrix gradient,
    Matrix firstMoment,
    Matrix secondMoment,
    double weightDecay,
    Matrix reference,
    double pull,
    Matrix basis,
    MemorySegment scratch) {
  /** Checks that the shapes agree. */
  public AdamwTensor {
    same(parameter, gradient, "gradient");
    same(parameter, firstMoment, "first moment");
    same(parameter, secondMoment, "second moment");
    if (reference != null) {
      same(parameter, reference, "reference");
    } else if (pull != 0) {
      throw new IllegalArgumentException("a pull needs the reference weights it pulls to");
    }
    if (basis != null) {
      long need = basis.columns() * parameter.columns() * Float.BYTES;
      if (basis.rows() != parameter.rows() || scratch == null || scratch.byteSize() < need) {
        throw new IllegalArgumentException(
            "a basis has one row per row of the parameter (%d, not %d) and %d bytes of scratch"
                .formatted(parameter.rows(), basis.rows(), need));
      }
    }
  }

  /** A parameter with nothing but its moments. */
  public static AdamwTensor plain(
      Matrix parameter, Matrix gradient, Matrix first, Matrix second, double weightDecay) {
    return new AdamwTensor(parameter, gradient, first, second, weightDecay, null, 0, null, null);
  }

  private static void same(Matrix parameter, Matrix other, String name) {
    if (other.rows() != parameter.rows() || other.columns() != parameter.columns()) {
      throw new IllegalArgumentException(
          "the %s is %d x %d, the parameter %d x %d"
              .formatted(
                  name, other.rows(), other.columns(), parameter.rows(), parameter.columns()));
    }
  }
}
