package io.holdfast.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import java.lang.foreign.MemorySegment;

/** The pieces of a decoder's block in plain Java, double precision: slow, and the oracle. */
final class ReferenceBlockKernels implements BlockKernels {
  private static final double BETA = Math.sqrt(2 / Math.PI);
  private static final double KAPPA = 0.044715;

  @Override
  public void rmsNorm(
      Matrix x, Matrix w, double eps, boolean onePlus, Matrix y, MemorySegment inverse) {
    for (long i = 0; i < x.rows(); i++) {
      double square = 0;
      for (long j = 0; j < x.columns(); j++) {
        square += x.get(i, j) * x.get(i, j);
      }
      double r = 1 / Math.sqrt(square / x.columns() + eps);
      for (long j = 0; j < x.columns(); j++) {
        double hat = x.get(i, j) * r;
        y.set(i, j, onePlus ? hat * (1 + w.get(0, j)) : rounded(x.dtype(), hat) * w.get(0, j));
      }
      if (inverse != null) {
        inverse.set(JAVA_FLOAT_UNALIGNED, i * Float.BYTES, (float) r);
      }
    }
  }

  @Override
  public void rmsNormBackward(
      Matrix x,
      Matrix w,
      boolean onePlus,
      MemorySegment inverse,
      Matrix g,
      Matrix dx,
      MemorySegment dw) {
    int d = Math.toIntExact(x.columns());
    var gain = new double[d];
    for (long i = 0; i < x.rows(); i++) {
      double r = inverse.get(JAVA_FLOAT_UNALIGNED, i * Float.BYTES);
      double dot = 0;
      for (int j = 0; j < d; j++) {
        dot += g.get(i, j) * (w.get(0, j) + (onePlus ? 1 : 0)) * x.get(i, j) * r;
      }
      for (int j = 0; j < d; j++) {
        double hat = x.get(i, j) * r;
        double gradient = g.get(i, j);
        gain[j] += gradient * hat;
        dx.set(i, j, r * (gradient * (w.get(0, j) + (onePlus ? 1 : 0)) - hat * dot / d));
      }
    }
    for (int j = 0; dw != null && j < d; j++) {
      dw.set(JAVA_FLOAT_UNALIGNED, (long) j * Float.BYTES, (float) gain[j]);
    }
  }

  @Override
  public void rotate(Matrix x, long head, Matrix cos, Matrix sin, boolean backward) {
    int width = Math.toIntExact(cos.columns());
    var turned = new double[width];
    for (long i = 0; i < x.rows(); i++) {
      long t = i % cos.rows();
      for (long start = 0; start < x.columns(); start += head) {
        for (int j = 0; j < width; j++) {
          int other = (j + width / 2) % width;
          turned[j] =
              rounded(x.dtype(), x.get(i, start + j) * cos.get(t, j))
                  + rounded(x.dtype(), x.get(i, start + other) * sin.get(t, backward ? other : j));
        }
        for (int j = 0; j < width; j++) {
          x.set(i, start + j, turned[j]);
        }
      }
    }
  }

  @Override
  public void gate(Matrix a, Matrix b, Activation activation, Matrix y) {
    for (long i = 0; i < a.rows(); i++) {
      for (long j = 0; j < a.columns(); j++) {
        double activated = rounded(a.dtype(), value(activation, a.get(i, j)));
        y.set(i, j, activated * b.get(i, j));
      }
    }
  }

  @Override
  public void gateBackward(
      Matrix a, Matrix b, Activation activation, Matrix g, Matrix da, Matrix db) {
    for (long i = 0; i < a.rows(); i++) {
      for (long j = 0; j < a.columns(); j++) {
        double x = a.get(i, j);
        double gradient = g.get(i, j);
        da.set(i, j, gradient * b.get(i, j) * slope(activation, x));
        db.set(i, j, gradient * value(activation, x));
      }
    }
  }

  private static double value(Activation activation, double x) {
    return switch (activation) {
      case SILU -> x / (1 + Math.exp(-x));
      case GELU_TANH -> x / 2 * (1 + Math.tanh(BETA * (x + KAPPA * x * x * x)));
    };
  }

  private static double slope(Activation activation, double x) {
    return switch (activation) {
      case SILU -> {
        double sigmoid = 1 / (1 + Math.exp(-x));
        yield sigmoid * (1 + x * (1 - sigmoid));
      }
      case GELU_TANH -> {
        double t = Math.tanh(BETA * (x + KAPPA * x * x * x));
        yield (1 + t) / 2 + x / 2 * (1 - t * t) * BETA * (1 + 3 * KAPPA * x * x);
      }
    };
  }

  /** What is left of a value where the dtype is narrower than float32. */
  private static double rounded(DType dtype, double x) {
    if (dtype == DType.FLOAT32) {
      return x;
    }
    var memory = MemorySegment.ofArray(new byte[Short.BYTES]);
    dtype.set(memory, 0, (float) x);
    return dtype.get(memory, 0);
  }
}
