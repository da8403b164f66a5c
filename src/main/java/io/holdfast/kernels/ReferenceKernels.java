package io.holdfast.kernels;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * The kernels as their formulas say, in plain Java and double precision: slow, obviously right, and
 * the oracle of every other back end.
 */
public final class ReferenceKernels implements Kernels {
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

  @Override
  public String name() {
    return "reference";
  }

  @Override
  public BlockKernels block() {
    return new ReferenceBlockKernels();
  }

  @Override
  public void project(Matrix h, MemorySegment rows, Matrix u, Matrix c) {
    for (long r = 0; r < c.rows(); r++) {
      double[] coefficients = coefficients(h, row(rows, r), u);
      for (int k = 0; k < coefficients.length; k++) {
        c.set(r, k, coefficients[k]);
      }
    }
  }

  @Override
  public void ablate(Matrix h, Matrix u) {
    for (long r = 0; r < h.rows(); r++) {
      double[] coefficients = coefficients(h, r, u);
      for (int k = 0; k < coefficients.length; k++) {
        coefficients[k] = -coefficients[k];
      }
      addInSubspace(h, r, u, coefficients);
    }
  }

  @Override
  public void constrain(
      Matrix g,
      Matrix h,
      MemorySegment rows,
      Matrix u,
      Matrix c,
      MemorySegment filter,
      MemorySegment weight,
      MemorySegment penalty) {
    for (long r = 0; r < c.rows(); r++) {
      long at = row(rows, r);
      double[] inGradient = coefficients(g, at, u);
      double[] inHidden = coefficients(h, at, u);
      double distance = 0;
      for (int k = 0; k < inHidden.length; k++) {
        double moved = inHidden[k] - c.get(r, k);
        distance += moved * moved;
        inHidden[k] = times(weight, r, moved) - times(filter, r, inGradient[k]);
      }
      addInSubspace(g, at, u, inHidden);
      if (penalty != null) {
        penalty.set(FLOAT, r * Float.BYTES, (float) distance);
      }
    }
  }

  @Override
  public void crossEntropyKl(
      Matrix z,
      Matrix reference,
      MemorySegment rows,
      MemorySegment labels,
      MemorySegment ceWeight,
      MemorySegment klWeight,
      RowLoss loss,
      MemorySegment ce,
      MemorySegment kl) {
    long m = rows == null ? z.rows() : rows.byteSize() / Long.BYTES;
    for (long i = 0; i < m; i++) {
      long r = row(rows, i);
      double[] capped = capped(z, r, loss.softCap());
      double[] logP = logSoftmax(capped);
      double[] logQ = reference == null ? logP : logSoftmax(capped(reference, r, loss.softCap()));
      double divergence = divergence(logP, logQ, loss.direction());
      long label = labels.get(LONG, i * Long.BYTES);
      ce.set(FLOAT, i * Float.BYTES, (float) crossEntropy(logP, label, loss.labelSmoothing()));
      if (kl != null) {
        kl.set(FLOAT, i * Float.BYTES, (float) divergence);
      }
      for (int j = 0; j < logP.length; j++) {
        double p = Math.exp(logP[j]);
        double wanted =
            (j == label ? 1 - loss.labelSmoothing() : 0) + loss.labelSmoothing() / logP.length;
        double fromLabel = label < 0 ? 0 : times(ceWeight, i, p - wanted);
        double fromReference =
            switch (loss.direction()) {
              case FORWARD -> p - Math.exp(logQ[j]);
              case REVERSE -> p == 0 ? 0 : p * (logP[j] - logQ[j] - divergence);
            };
        double gradient = fromLabel + times(klWeight, i, fromReference);
        if (loss.softCap() != 0 && gradient != 0) {
          double ofCap = capped[j] / loss.softCap();
          gradient *= 1 - ofCap * ofCap;
        }
        z.set(r, j, gradient);
      }
    }
  }

  private static double crossEntropy(double[] logP, long label, double smoothing) {
    if (label < 0) {
      return 0;
    }
    double ce = smoothing == 1 ? 0 : -(1 - smoothing) * logP[(int) label];
    for (int j = 0; smoothing != 0 && j < logP.length; j++) {
      ce -= smoothing / logP.length * logP[j];
    }
    return ce;
  }

  private static double divergence(double[] logP, double[] logQ, KlDirection direction) {
    double sum = 0;
    for (int j = 0; j < logP.length; j++) {
      boolean forward = direction == KlDirection.FORWARD;
      double from = forward ? logQ[j] : logP[j];
      double to = forward ? logP[j] : logQ[j];
      // 0 log 0 is 0.
      sum += Math.exp(from) == 0 ? 0 : Math.exp(from) * (from - to);
    }
    return sum;
  }

  @Override
  public void adamw(List<AdamwTensor> tensors, AdamwStep step) {
    double firstCorrection = 1 - Math.pow(step.beta1(), step.step());
    double secondCorrection = 1 - Math.pow(step.beta2(), step.step());
    for (var tensor : tensors) {
      double[][] gradient = filtered(tensor, step.gradientScale());
      var p = tensor.parameter();
      var weights = tensor.master() != null ? tensor.master() : p;
      var pull = tensor.pull();
      for (int i = 0; i < p.rows(); i++) {
        for (int j = 0; j < p.columns(); j++) {
          double g = gradient[i][j];
          double before = weights.get(i, j);
          double away = pull == null ? 0 : before - pull.reference().get(i, j);
          if (pull != null && pull.coupled()) {
            g += pull.strength() == 0 ? 0 : pull.strength() * away;
          }
          double m = step.beta1() * tensor.firstMoment().get(i, j) + (1 - step.beta1()) * g;
          double v = step.beta2() * tensor.secondMoment().get(i, j) + (1 - step.beta2()) * g * g;
          double after = before * (1 - step.lr() * tensor.weightDecay());
          after -=
              step.lr() * (m / firstCorrection) / (Math.sqrt(v / secondCorrection) + step.eps());
          if (pull != null && !pull.coupled()) {
            after -= pull.strength() == 0 ? 0 : step.lr() * pull.strength() * away;
          }
          tensor.firstMoment().set(i, j, m);
          tensor.secondMoment().set(i, j, v);
          weights.set(i, j, after);
          p.set(i, j, after);
        }
      }
    }
  }

  /** {@code g scale}, minus its component in the basis where there is one. */
  private static double[][] filtered(AdamwTensor tensor, double scale) {
    int rows = Math.toIntExact(tensor.gradient().rows());
    int columns = Math.toIntExact(tensor.gradient().columns());
    var g = new double[rows][columns];
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < columns; j++) {
        g[i][j] = scale * tensor.gradient().get(i, j);
      }
    }
    var u = tensor.basis();
    for (int k = 0; u != null && k < u.columns(); k++) {
      for (int j = 0; j < columns; j++) {
        double along = 0;
        for (int i = 0; i < rows; i++) {
          along += u.get(i, k) * scale * tensor.gradient().get(i, j);
        }
        for (int i = 0; i < rows; i++) {
          g[i][j] -= u.get(i, k) * along;
        }
      }
    }
    return g;
  }

  @Override
  public double norm(List<Matrix> gradients) {
    double sum = 0;
    for (var gradient : gradients) {
      for (long i = 0; i < gradient.rows(); i++) {
        for (long j = 0; j < gradient.columns(); j++) {
          double x = gradient.get(i, j);
          sum += x * x;
        }
      }
    }
    return Math.sqrt(sum);
  }

  /** {@code U^T x} for row x of a matrix. */
  private static double[] coefficients(Matrix matrix, long row, Matrix u) {
    var coefficients = new double[Math.toIntExact(u.columns())];
    for (long i = 0; i < u.rows(); i++) {
      double x = matrix.get(row, i);
      for (int k = 0; k < coefficients.length; k++) {
        coefficients[k] += x * u.get(i, k);
      }
    }
    return coefficients;
  }

  /** {@code x <- x + U coefficients} for row x of a matrix. */
  private static void addInSubspace(Matrix matrix, long row, Matrix u, double[] coefficients) {
    for (long i = 0; i < u.rows(); i++) {
      double x = matrix.get(row, i);
      for (int k = 0; k < coefficients.length; k++) {
        x += coefficients[k] * u.get(i, k);
      }
      matrix.set(row, i, x);
    }
  }

  /** The logits of a row as the loss sees them. */
  private static double[] capped(Matrix z, long row, double cap) {
    var values = new double[Math.toIntExact(z.columns())];
    for (int j = 0; j < values.length; j++) {
      double x = z.get(row, j);
      values[j] = cap == 0 ? x : cap * Math.tanh(x / cap);
    }
    return values;
  }

  private static double[] logSoftmax(double[] logits) {
    double largest = Double.NEGATIVE_INFINITY;
    for (double value : logits) {
      largest = Math.max(largest, value);
    }
    double sum = 0;
    for (double value : logits) {
      sum += Math.exp(value - largest);
    }
    var values = new double[logits.length];
    for (int j = 0; j < values.length; j++) {
      values[j] = logits[j] - (largest + Math.log(sum));
    }
    return values;
  }

  private static long row(MemorySegment rows, long r) {
    return rows == null ? r : rows.get(LONG, r * Long.BYTES);
  }

  /** A weight of exactly 0 switches its term off, even where the term is not finite. */
  private static double times(MemorySegment weights, long r, double term) {
    double weight = weights == null ? 0 : weights.get(FLOAT, r * Float.BYTES);
    return weight == 0 ? 0 : weight * term;
  }
}
