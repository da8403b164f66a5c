package io.holdfast.kernels;

import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * A row-major matrix in native memory that somebody else owns.
 *
 * @param data the first element; at least {@code ((rows-1) * stride + columns)} elements long
 * @param rows number of rows, at least 0
 * @param columns number of columns, at least 0
 * @param stride elements from one row to the next, at least {@code columns}
 * @param dtype type of the elements
 */
public record Matrix(MemorySegment data, long rows, long columns, long stride, DType dtype) {
  /** Checks the sizes against the memory, so that no kernel reads beyond it. */
  public Matrix {
    Objects.requireNonNull(data, "data");
    Objects.requireNonNull(dtype, "dtype");
    if (rows < 0 || columns < 0 || stride < columns) {
      throw new IllegalArgumentException(
          "a matrix of %d rows, %d columns, stride %d is not one".formatted(rows, columns, stride));
    }
    if (rows > 0 && columns > 0) {
      long elements = Math.addExact(Math.multiplyExact(rows - 1, stride), columns);
      long bytes = Math.multiplyExact(elements, dtype.bytes());
      if (data.byteSize() < bytes) {
        throw new IllegalArgumentException(
            "a matrix of %d x %d (stride %d, %s) needs %d bytes, its memory has %d"
                .formatted(rows, columns, stride, dtype, bytes, data.byteSize()));
      }
    }
  }

  /** A matrix whose rows follow one another without gaps. */
  public static Matrix dense(MemorySegment data, long rows, long columns, DType dtype) {
    return new Matrix(data, rows, columns, columns, dtype);
  }

  /** Element (i, j), for reference code. */
  double get(long i, long j) {
    return dtype.get(data, i * stride + j);
  }

  /** Sets element (i, j), rounded to the dtype. */
  void set(long i, long j, double value) {
    dtype.set(data, i * stride + j, (float) value);
  }
}
