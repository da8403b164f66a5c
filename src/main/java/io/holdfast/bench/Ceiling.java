package io.holdfast.bench;

import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/**
 * What no kernel can beat on this device.
 *
 * @param bandwidth bytes a second, read and written, of a copy larger than the caches
 * @param arithmetic operations a second of a large matrix product
 */
public record Ceiling(double bandwidth, double arithmetic) {
  /**
   * Operations of an exponential in float32: nine or ten multiply-adds, of which the reduction of
   * the argument takes three and the polynomial the others.
   */
  static final int EXPONENTIAL = 20;

  /** Measures both, by LibTorch as it is set. */
  public static Ceiling measure(Sizes sizes) {
    return measure(sizes, sizes.product());
  }

  /** Measures both with another product. */
  static Ceiling measure(Sizes sizes, Sizes.Product product) {
    try (var scope = Scope.open()) {
      var from = Tensors.zeros(sizes.copied() / Float.BYTES);
      var to = Tensors.zeros(sizes.copied() / Float.BYTES);
      var a = square(product);
      var b = square(product);
      double side = a.size(0);
      var seconds =
          Timing.medians(
              sizes.budget(),
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
          2.0 * side * side * side / seconds.get(1));
    }
  }

  private static Tensor square(Sizes.Product product) {
    return Tensors.placed(torch.randn(product.side(), product.side()))
        .to(Tensors.scalarType(product.dtype()));
  }

  /** The least time for so many bytes and operations, in seconds. */
  public double floor(double bytes, double operations) {
    return Math.max(bytes / bandwidth, operations / arithmetic);
  }
}
