package io.holdfast.bench;

import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.List;
import org.bytedeco.pytorch.global.torch;

/**
 * What no kernel can beat on this machine.
 *
 * @param bandwidth bytes a second, read and written, of a copy larger than the caches
 * @param arithmetic operations a second of a large float32 matrix product
 */
public record Ceiling(double bandwidth, double arithmetic) {
  private static final long COPIED = 64L << 20;
  private static final long SIDE = 1536;

  /** Measures both, by LibTorch with the threads it has. */
  public static Ceiling measure(double budget) {
    try (var scope = Scope.open()) {
      var from = Tensors.zeros(COPIED / Float.BYTES * 2);
      var to = Tensors.zeros(COPIED / Float.BYTES * 2);
      var a = torch.randn(SIDE, SIDE);
      var b = torch.randn(SIDE, SIDE);
      var seconds =
          Timing.medians(
              budget,
              List.of(
                  () -> {
                    try (var inner = Scope.open()) {
                      to.copy_(from);
                    }
                  },
                  () -> {
                    try (var inner = Scope.open()) {
                      a.mm(b);
                    }
                  }));
      return new Ceiling(
          2.0 * from.numel() * Float.BYTES / seconds.get(0),
          2.0 * SIDE * SIDE * SIDE / seconds.get(1));
    }
  }

  /** The least time for so many bytes and operations, in seconds. */
  public double floor(double bytes, double operations) {
    return Math.max(bytes / bandwidth, operations / arithmetic);
  }
}
