package io.holdfast.kernels;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.kernels.Kernels.KlDirection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;

/** What tests of native kernels share: random data, and comparisons with the reference. */
abstract class KernelCase {
  private static final double TOLERANCE = 1e-5;
  static final RowLoss FORWARD = new RowLoss(KlDirection.FORWARD);
  static final List<DType> KERNEL_DTYPES = List.of(DType.FLOAT32, DType.BFLOAT16, DType.FLOAT16);

  final Arena arena = Arena.ofConfined();
  final SplittableRandom random = new SplittableRandom(7);
  final Kernels kernels = underTest();
  final Kernels reference = new ReferenceKernels();

  /** The native kernels that {@code HOLDFAST_KERNELS} names, the CPU's if it names none. */
  private static Kernels underTest() {
    var name = Optional.ofNullable(System.getenv("HOLDFAST_KERNELS")).orElse("cpu");
    var found = KernelBackends.select(Optional.of(name));
    return name.equals("cuda") ? new StagedKernels((NativeKernels) found, _ -> true) : found;
  }

  @AfterEach
  final void free() {
    arena.close();
    KernelBackends.threads(0);
  }

  Matrix matrix(long rows, long columns, long padding, double spread) {
    return matrix(rows, columns, padding, spread, DType.FLOAT32);
  }

  Matrix matrix(long rows, long columns, long padding, double spread, DType dtype) {
    long stride = columns + padding;
    var memory = arena.allocate(Math.max(1, rows * stride) * dtype.bytes(), 4);
    for (long i = 0; i < rows * stride; i++) {
      dtype.set(memory, i, (float) (random.nextGaussian() * spread));
    }
    return new Matrix(memory, rows, columns, stride, dtype);
  }

  Matrix copy(Matrix matrix) {
    var memory = arena.allocate(matrix.data().byteSize(), 4);
    memory.copyFrom(matrix.data());
    return new Matrix(memory, matrix.rows(), matrix.columns(), matrix.stride(), matrix.dtype());
  }

  /** Orthonormal columns by Gram-Schmidt. */
  Matrix basis(int d, int k, long padding) {
    var u = matrix(d, k, padding, 1);
    for (int a = 0; a < k; a++) {
      for (int b = 0; b < a; b++) {
        double dot = 0;
        for (int i = 0; i < d; i++) {
          dot += get(u, i, a) * get(u, i, b);
        }
        for (int i = 0; i < d; i++) {
          set(u, i, a, get(u, i, a) - dot * get(u, i, b));
        }
      }
      double square = 0;
      for (int i = 0; i < d; i++) {
        square += get(u, i, a) * get(u, i, a);
      }
      for (int i = 0; i < d; i++) {
        set(u, i, a, get(u, i, a) / Math.sqrt(square));
      }
    }
    return u;
  }

  MemorySegment floats(double... values) {
    var memory = arena.allocate(ValueLayout.JAVA_FLOAT, Math.max(1, values.length));
    for (int i = 0; i < values.length; i++) {
      memory.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) values[i]);
    }
    return memory;
  }

  MemorySegment weights(int n) {
    var values = new double[n];
    for (int i = 0; i < n; i++) {
      values[i] = i % 3 == 0 ? 0 : random.nextDouble();
    }
    return floats(values);
  }

  /** A random subset of the rows, none twice. */
  MemorySegment subset(int n, int m) {
    var all = new ArrayList<Long>();
    for (long i = 0; i < n; i++) {
      all.add(i);
    }
    java.util.Collections.shuffle(all, new java.util.Random(random.nextLong()));
    var memory = arena.allocate(ValueLayout.JAVA_LONG, m);
    for (int i = 0; i < m; i++) {
      memory.setAtIndex(ValueLayout.JAVA_LONG, i, all.get(i));
    }
    return memory;
  }

  static double get(Matrix m, long i, long j) {
    return m.dtype().get(m.data(), i * m.stride() + j);
  }

  static void set(Matrix m, long i, long j, double value) {
    m.dtype().set(m.data(), i * m.stride() + j, (float) value);
  }

  static float[] all(MemorySegment memory) {
    return memory.toArray(ValueLayout.JAVA_FLOAT);
  }

  static float[] all(Matrix matrix) {
    var values = new float[(int) (matrix.data().byteSize() / matrix.dtype().bytes())];
    for (int i = 0; i < values.length; i++) {
      values[i] = matrix.dtype().get(matrix.data(), i);
    }
    return values;
  }

  /** A unit in the last place, relative to the number: both sides were rounded once. */
  static double rounding(DType dtype) {
    return switch (dtype) {
      case BFLOAT16 -> 0x1p-7;
      case FLOAT16 -> 0x1p-10;
      default -> 0;
    };
  }

  static void assertClose(String what, MemorySegment expected, MemorySegment actual) {
    assertClose(what, all(expected), all(actual), 0);
  }

  /** Equal within the tolerance, padding included: nothing may be written there. */
  static void assertClose(String what, Matrix expected, Matrix actual) {
    assertClose(what, all(expected), all(actual), rounding(expected.dtype()));
  }

  static void assertClose(String what, float[] e, float[] a, double rounding) {
    double largest = 1;
    for (float value : e) {
      largest = Float.isFinite(value) ? Math.max(largest, Math.abs(value)) : largest;
    }
    for (int i = 0; i < e.length; i++) {
      boolean same = Float.isNaN(e[i]) ? Float.isNaN(a[i]) : e[i] == a[i];
      boolean close = Math.abs(e[i] - a[i]) <= TOLERANCE * largest + rounding * Math.abs(e[i]);
      assertTrue(same || close, what + " [" + i + "] expected " + e[i] + ", got " + a[i]);
    }
  }

  List<AdamwTensor> tensors(DType dtype) {
    var list = new ArrayList<AdamwTensor>();
    int[][] shapes = {{1, 1}, {3, 17}, {1, 40_000}, {31, 127}, {64, 64}};
    for (int i = 0; i < shapes.length; i++) {
      int n = shapes[i][0];
      int c = shapes[i][1];
      var second = matrix(n, c, 1, 1);
      for (int a = 0; a < n; a++) {
        for (int b = 0; b < c; b++) {
          set(second, a, b, Math.abs(get(second, a, b)));
        }
      }
      boolean options = i % 2 == 1;
      list.add(
          new AdamwTensor(
              matrix(n, c, 2, 1, dtype),
              matrix(n, c, 0, 1, dtype),
              matrix(n, c, 0, 1),
              second,
              dtype == DType.FLOAT32 ? null : matrix(n, c, 0, 1),
              0.1,
              options ? new AdamwTensor.Pull(matrix(n, c, 3, 1, dtype), 0.3, i == 1) : null,
              options ? basis(n, Math.min(3, n), 0) : null));
    }
    return list;
  }

  AdamwTensor copy(AdamwTensor t) {
    return new AdamwTensor(
        copy(t.parameter()),
        t.gradient(),
        copy(t.firstMoment()),
        copy(t.secondMoment()),
        t.master() == null ? null : copy(t.master()),
        t.weightDecay(),
        t.pull(),
        t.basis());
  }
}
