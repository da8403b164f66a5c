package io.holdfast.checkpoint;

import io.holdfast.kernels.DType;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.Collectors;

/**
 * A named tensor in memory: row-major, contiguous, little-endian.
 *
 * @param name its name in the checkpoint, such as {@code model.layers.0.self_attn.q_proj.weight}
 * @param dtype element type
 * @param shape sizes, outermost first; empty for a scalar
 * @param data exactly {@link #elements()} elements; it lives as long as what it was taken from
 */
public record TensorEntry(String name, DType dtype, List<Long> shape, MemorySegment data) {
  /** Checks that the data has the size that type and shape ask for. */
  public TensorEntry {
    shape = List.copyOf(shape);
    long bytes = bytes(dtype, shape);
    if (data.byteSize() != bytes) {
      throw new IllegalArgumentException(
          "tensor %s: %s %s takes %d bytes, given %d"
              .formatted(name, dtype, shape, bytes, data.byteSize()));
    }
  }

  /** A float32 tensor over an array, which is not copied. */
  public static TensorEntry of(String name, List<Long> shape, float[] values) {
    return new TensorEntry(name, DType.FLOAT32, shape, MemorySegment.ofArray(values));
  }

  /** The sizes as LibTorch wants them. */
  public long[] sizes() {
    return shape.stream().mapToLong(Long::longValue).toArray();
  }

  /** How many elements; one for a scalar. */
  public long elements() {
    return data.byteSize() / dtype.bytes();
  }

  /** The same tensor under another name. */
  public TensorEntry named(String other) {
    return new TensorEntry(other, dtype, shape, data);
  }

  /**
   * Bytes of a tensor of this type and shape.
   *
   * @throws ArithmeticException if that is more than 63 bits can count
   */
  static long bytes(DType dtype, List<Long> shape) {
    long bytes = dtype.bytes();
    for (long size : shape) {
      if (size < 0) {
        throw new IllegalArgumentException("negative size in shape " + shape);
      }
      bytes = Math.multiplyExact(bytes, size);
    }
    return bytes;
  }

  /** Name, type and shape: {@code model.norm.weight FLOAT32 [64]}. */
  @Override
  public String toString() {
    String sizes = shape.stream().map(String::valueOf).collect(Collectors.joining(", "));
    return "%s %s [%s]".formatted(name, dtype, sizes);
  }
}
