package io.holdfast.bench;

import io.holdfast.kernels.DType;

/**
 * One kernel on one size.
 *
 * @param kernel its name
 * @param dtype of its large matrices
 * @param size in words
 * @param seconds median time of a call
 * @param bytes that its formula must read and write
 * @param share of the ceiling that it reaches: the floor's time over its own
 * @param libTorch median time of the same mathematics in LibTorch's operations, in seconds
 */
public record Measurement(
    String kernel,
    DType dtype,
    String size,
    double seconds,
    double bytes,
    double share,
    double libTorch) {
  /** Bytes a second. */
  public double rate() {
    return bytes / seconds;
  }

  /** How many times faster than LibTorch's operations. */
  public double ratio() {
    return libTorch / seconds;
  }
}
