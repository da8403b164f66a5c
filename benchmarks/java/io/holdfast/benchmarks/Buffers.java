package io.holdfast.benchmarks;

import io.holdfast.kernels.DType;
import io.holdfast.kernels.Matrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;

/** Native memory filled with what kernels expect, for the length of a trial. */
final class Buffers {
  private final Arena arena = Arena.ofShared();
  private final SplittableRandom random = new SplittableRandom(1);

  Matrix matrix(long rows, long columns, double spread) {
    return matrix(rows, columns, spread, DType.FLOAT32);
  }

  Matrix matrix(long rows, long columns, double spread, DType dtype) {
    var memory = arena.allocate(rows * columns * dtype.bytes(), 64);
    for (long i = 0; i < rows * columns; i++) {
      dtype.set(memory, i, (float) random.nextDouble(-spread, spread));
    }
    return Matrix.dense(memory, rows, columns, dtype);
  }

  MemorySegment floats(long n, double low, double high) {
    var memory = arena.allocate(n * Float.BYTES, 64);
    for (long i = 0; i < n; i++) {
      memory.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextDouble(low, high));
    }
    return memory;
  }

  MemorySegment labels(long n, long vocabulary) {
    var memory = arena.allocate(ValueLayout.JAVA_LONG, n);
    for (long i = 0; i < n; i++) {
      memory.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextLong(vocabulary));
    }
    return memory;
  }

  void free() {
    arena.close();
  }
}
