package io.holdfast.kernels;

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

  /** The type with this safetensors name, if Holdfast knows it. */
  public static Optional<DType> ofSafetensors(String name) {
    return Stream.of(values()).filter(type -> type.safetensors.equals(name)).findFirst();
  }
}
