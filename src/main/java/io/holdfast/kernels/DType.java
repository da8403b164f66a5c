package io.holdfast.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.stream.Stream;

/** Element types of tensors; the code is the one of {@code holdfast.h}. */
public enum DType {
  FLOAT32(0, 4, "F32"),
  BFLOAT16(1, 2, "BF16"),
  FLOAT16(2, 2, "F16"),
  FLOAT64(3, 8, "F64"),
  INT64(4, 8, "I64"),
  INT32(5, 4, "I32"),
  INT16(6, 2, "I16"),
  INT8(7, 1, "I8"),
  UINT8(8, 1, "U8"),
  BOOL(9, 1, "BOOL");

  private final int code;
  private final int bytes;
  private final String safetensors;

  DType(int code, int bytes, String safetensors) {
    this.code = code;
    this.bytes = bytes;
    this.safetensors = safetensors;
  }

  /** The code in the native interface. */
  public int code() {
    return code;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }

  /** The name in a safetensors header. */
  public String safetensors() {
    return safetensors;
  }

  /**
   * Element {@code index} as float32.
   *
   * @throws UnsupportedOperationException if this is none of the kernels' dtypes
   */
  public float get(MemorySegment memory, long index) {
    return switch (this) {
      case FLOAT32 -> memory.get(JAVA_FLOAT_UNALIGNED, index * Float.BYTES);
      case BFLOAT16 ->
          Float.intBitsToFloat(memory.get(JAVA_SHORT_UNALIGNED, index * Short.BYTES) << 16);
      case FLOAT16 -> Float.float16ToFloat(memory.get(JAVA_SHORT_UNALIGNED, index * Short.BYTES));
      default -> throw new UnsupportedOperationException(this + " is no dtype of the kernels");
    };
  }

  /**
   * Writes element {@code index}, rounded to nearest, ties to even.
   *
   * @throws UnsupportedOperationException if this is none of the kernels' dtypes
   */
  public void set(MemorySegment memory, long index, float value) {
    switch (this) {
      case FLOAT32 -> memory.set(JAVA_FLOAT_UNALIGNED, index * Float.BYTES, value);
      case BFLOAT16 -> memory.set(JAVA_SHORT_UNALIGNED, index * Short.BYTES, toBfloat16(value));
      case FLOAT16 ->
          memory.set(JAVA_SHORT_UNALIGNED, index * Short.BYTES, Float.floatToFloat16(value));
      default -> throw new UnsupportedOperationException(this + " is no dtype of the kernels");
    }
  }

  /** The carry of just under half of the last place rounds; a NaN must not carry to infinity. */
  private static short toBfloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    int rounded = Float.isNaN(value) ? bits | 0x400000 : bits + 0x7FFF + (bits >>> 16 & 1);
    return (short) (rounded >>> 16);
  }

  /** The type with this safetensors name, if Holdfast knows it. */
  public static Optional<DType> ofSafetensors(String name) {
    return Stream.of(values()).filter(type -> type.safetensors.equals(name)).findFirst();
  }
}
