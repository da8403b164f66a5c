package io.holdfast.kernels;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The operations Holdfast exists for, each with one meaning on every back end.
 *
 * <p>Matrices are row-major with a stride in elements; float32, bfloat16 or float16, computed in
 * float32 and rounded once on writing, to nearest. Reductions accumulate in float32 or wider, and
 * results do not depend on the number of threads. Non-finite input is not an error: it reaches the
 * output by IEEE rules, in its own row only where rows are independent.
 *
 * @see ReferenceKernels the oracle: plain Java in double precision
 */
public interface Kernels {
  /** The back end's name: {@code reference}, {@code cpu} or {@code cuda}. */
  String name();

  /** The pieces of a decoder's block. */
  BlockKernels block();

  /**
   * Coefficients in a subspace: {@code C = H[rows] U}.
   *
   * @param h {@code [n, d]} hidden states
   * @param rows the rows of {@code h} to read, as int64 {@code [m]}, or null for all of them
   * @param u {@code [d, k]} orthonormal columns
   * @param c {@code [m, k]} written
   */
  void project(Matrix h, MemorySegment rows, Matrix u, Matrix c);

  /**
   * Directional ablation in place: {@code H <- H - (H U) U^T}.
   *
   * @param h {@code [n, d]} read and written
   * @param u {@code [d, k]} orthonormal columns
   */
  void ablate(Matrix h, Matrix u);

  /**
   * The safety-subspace constraint, in place on the gradient of a hidden state. For each selected
   * row r (row {@code rows[r]} of G and H):
   *
   * <pre>G <- G - filter[r] (G U) U^T + weight[r] (H U - C[r]) U^T</pre>
   *
   * which is the gradient of {@code weight[r]/2 ||H U - C[r]||^2} added to a task gradient whose
   * component in the subspace is damped by {@code filter[r]}.
   *
   * @param g {@code [n, d]} gradient, read and written
   * @param h {@code [n, d]} hidden states
   * @param rows the rows to constrain, int64 {@code [m]}, or null for all; no row twice
   * @param u {@code [d, k]} orthonormal columns
   * @param c {@code [m, k]} reference coefficients
   * @param filter float32 {@code [m]}, or null for 0
   * @param weight float32 {@code [m]}, or null for 0
   * @param penalty float32 {@code [m]} written with {@code ||H U - C||^2} per row (unweighted), or
   *     null
   */
  void constrain(
      Matrix g,
      Matrix h,
      MemorySegment rows,
      Matrix u,
      Matrix c,
      MemorySegment filter,
      MemorySegment weight,
      MemorySegment penalty);

  /** Which way the divergence of {@link #crossEntropyKl} points. */
  enum KlDirection {
    /** {@code KL(reference || model)}; gradient {@code p - q}. */
    FORWARD,
    /** {@code KL(model || reference)}; gradient {@code p (log p - log q - KL)}. */
    REVERSE
  }

  /**
   * Turns rows of logits into the gradient of their loss, in place:
   *
   * <pre>
   * L[i] = ceWeight[i] CE + klWeight[i] KL     of row r = rows[i]
   * Z[r] <- dL[i]/dZ[r]
   * CE = -(1 - s) log p[label] - s/V sum_j log p[j]
   * </pre>
   *
   * with {@code p = softmax(cap(Z))}, {@code q = softmax(cap(R))} and the label smoothing {@code s}
   * and soft cap of the loss.
   *
   * @param z {@code [n, V]} logits, overwritten by their gradient in the selected rows
   * @param reference {@code [n, V]} reference logits, or null where no row has a KL weight
   * @param rows the rows to work on, int64 {@code [m]} exactly, none twice, or null for all
   * @param labels int64 {@code [m]}; a negative label takes no part in the cross entropy
   * @param ceWeight float32 {@code [m]}
   * @param klWeight float32 {@code [m]}, or null for 0
   * @param loss direction, label smoothing and soft cap
   * @param ce float32 {@code [m]} written with CE (unweighted; 0 for a negative label)
   * @param kl float32 {@code [m]} written with the divergence (unweighted), or null
   */
  void crossEntropyKl(
      Matrix z,
      Matrix reference,
      MemorySegment rows,
      MemorySegment labels,
      MemorySegment ceWeight,
      MemorySegment klWeight,
      RowLoss loss,
      MemorySegment ce,
      MemorySegment kl);

  /**
   * One AdamW step (Loshchilov and Hutter 2019, as PyTorch computes it) over many tensors:
   *
   * <pre>
   * g <- gradientScale * g;  g <- g - U (U^T g) where the tensor has a basis
   * g <- g + strength (p - reference) where its pull is coupled
   * m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2
   * p <- p (1 - lr decay) - lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)
   *      - lr strength (p - reference) where its pull is decoupled
   * </pre>
   *
   * with p before the step on the right. Where there is a master, p is the master and the parameter
   * its rounded copy. The gradient itself is left as it was.
   */
  void adamw(List<AdamwTensor> tensors, AdamwStep step);

  /**
   * The 2-norm of all gradients together; NaN or infinity where any of them holds one.
   *
   * @param gradients matrices of any shapes
   */
  double norm(List<Matrix> gradients);
}
