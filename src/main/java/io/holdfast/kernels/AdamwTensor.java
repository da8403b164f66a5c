package io.holdfast.kernels;

/**
 * One parameter of an AdamW step. All matrices have the parameter's shape.
 *
 * @param parameter the weights, or their rounded copy where there is a master
 * @param gradient read
 * @param firstMoment updated, float32
 * @param secondMoment updated, float32
 * @param master float32 weights that are updated in place of a narrower parameter, or null
 * @param weightDecay decoupled decay
 * @param pull towards other weights, or null
 * @param basis {@code [rows, k]} orthonormal columns that the gradient must not touch (a residual
 *     writer's output space), or null
 */
public record AdamwTensor(
    Matrix parameter,
    Matrix gradient,
    Matrix firstMoment,
    Matrix secondMoment,
    Matrix master,
    double weightDecay,
    Pull pull,
    Matrix basis) {
  /**
   * A pull towards the weights that training started from.
   *
   * @param reference those weights
   * @param strength of {@code strength/2 ||p - reference||^2}
   * @param coupled whether the pull joins the gradient and passes through the moments, as the loss
   *     would; else it acts on the weights alone, as AdamW's decay does
   */
  public record Pull(Matrix reference, double strength, boolean coupled) {}

  /** Checks that the shapes agree. */
  public AdamwTensor {
    same(parameter, gradient, "gradient");
    same(parameter, firstMoment, "first moment");
    same(parameter, secondMoment, "second moment");
    if (master != null) {
      same(parameter, master, "master");
    }
    if (pull != null) {
      same(parameter, pull.reference(), "reference");
    }
    if (basis != null && basis.rows() != parameter.rows()) {
      throw new IllegalArgumentException(
          "a basis has one row per row of the parameter: %d, not %d"
              .formatted(parameter.rows(), basis.rows()));
    }
  }

  /** A parameter with nothing but its moments. */
  public static AdamwTensor plain(
      Matrix parameter, Matrix gradient, Matrix first, Matrix second, double weightDecay) {
    return new AdamwTensor(parameter, gradient, first, second, null, weightDecay, null, null);
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
