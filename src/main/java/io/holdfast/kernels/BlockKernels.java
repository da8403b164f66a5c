package io.holdfast.kernels;

import java.lang.foreign.MemorySegment;

/**
 * The pieces of a decoder's block that are bound by memory rather than arithmetic, each in one
 * sweep with its way back. What a model's own code rounds on its way forward is rounded here, too,
 * where the dtype is narrower than float32; the ways back through norms and gates round once.
 *
 * <p>Matrices, threads and non-finite values are as in {@link Kernels}.
 *
 * @see ReferenceBlockKernels the oracle
 */
public interface BlockKernels {
  /** The activation of a gated MLP. */
  enum Activation {
    /** {@code a / (1 + e^-a)}. */
    SILU,
    /** {@code a/2 (1 + tanh(sqrt(2/pi) (a + 0.044715 a^3)))}. */
    GELU_TANH
  }

  /**
   * A root-mean-square norm of rows (Zhang and Sennrich 2019):
   *
   * <pre>
   * r[i] = 1 / sqrt(mean_j X[i,j]^2 + eps)
   * Y[i,j] = round(X[i,j] r[i]) w[j], or X[i,j] r[i] (1 + w[j]) where onePlus
   * </pre>
   *
   * @param x {@code [n, d]}
   * @param w {@code [1, d]}
   * @param y {@code [n, d]} written
   * @param inverse float32 {@code [n]} written with r, or null
   */
  void rmsNorm(Matrix x, Matrix w, double eps, boolean onePlus, Matrix y, MemorySegment inverse);

  /**
   * The way back through {@link #rmsNorm}, with v = w, or 1 + w where onePlus:
   *
   * <pre>
   * dX[i,j] = r[i] (G[i,j] v[j] - X[i,j] r[i] mean_k(G[i,k] v[k] X[i,k] r[i]))
   * dw[j] = sum_i G[i,j] X[i,j] r[i]
   * </pre>
   *
   * @param inverse float32 {@code [n]} as {@link #rmsNorm} has written it
   * @param g {@code [n, d]} gradient of Y
   * @param dx {@code [n, d]} written; may be g
   * @param dw float32 {@code [d]} written, or null
   */
  void rmsNormBackward(
      Matrix x,
      Matrix w,
      boolean onePlus,
      MemorySegment inverse,
      Matrix g,
      Matrix dx,
      MemorySegment dw);

  /**
   * Rotary position embedding (Su et al. 2021) of the first {@code width} values of every head, in
   * place, with t = i mod period:
   *
   * <pre>x[j] <- round(x[j] C[t,j]) + round(x[(j + width/2) mod width] S[t,j])</pre>
   *
   * or backward its transpose, {@code g[j] <- round(g[j] C[t,j]) + round(g[k] S[t,k])} with {@code
   * k = (j + width/2) mod width}.
   *
   * @param x {@code [n, heads * head]}
   * @param head values of a head
   * @param cos {@code [period, width]}; n is a multiple of the period
   * @param sin like {@code cos}, with the sign that the rotation gives it
   */
  void rotate(Matrix x, long head, Matrix cos, Matrix sin, boolean backward);

  /**
   * The activation of a gated MLP (Shazeer 2020): {@code Y = round(act(A)) B}.
   *
   * @param y {@code [n, m]} written, as all of them are sized
   */
  void gate(Matrix a, Matrix b, Activation activation, Matrix y);

  /**
   * The way back through {@link #gate}: {@code dA = G B act'(A)} and {@code dB = G act(A)}.
   *
   * @param da written; may be a
   * @param db written; may be b
   */
  void gateBackward(Matrix a, Matrix b, Activation activation, Matrix g, Matrix da, Matrix db);
}
