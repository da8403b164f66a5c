package io.holdfast.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.kernels.DType;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.torch.Scope;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** What is measured and how it is reckoned; never how fast it is. */
class KernelBenchTest {
  @Test
  void theFloorIsTheSlowerOfMemoryAndArithmetic() {
    var ceiling = new Ceiling(10, 100);
    assertEquals(2, ceiling.floor(20, 20));
    assertEquals(3, ceiling.floor(20, 300));
  }

  @Test
  void theMedianOfAnEvenNumberIsBetween() {
    assertEquals(2, Timing.median(List.of(3.0, 1.0, 2.0)));
    assertEquals(2.5, Timing.median(List.of(4.0, 1.0, 2.0, 3.0)));
  }

  @Test
  void workRunsInTurnsAndAtLeastFiveTimes() {
    var order = new StringBuilder();
    Timing.medians(0, List.of(() -> order.append('a'), () -> order.append('b')));
    assertEquals("ab".repeat(6), order.toString());
  }

  @Test
  void everyKernelIsMeasuredInEveryDtype() {
    var sizes =
        new Sizes(
            List.of(DType.FLOAT32, DType.BFLOAT16),
            8,
            32,
            List.of(3L),
            2,
            100,
            List.of(new Sizes.Tensors(2, 10)),
            1 << 12,
            new Sizes.Product(DType.FLOAT32, 8),
            0);
    var ceiling = Ceiling.measure(sizes);
    assertTrue(ceiling.bandwidth() > 0 && ceiling.arithmetic() > 0, ceiling.toString());
    var found = new ArrayList<Measurement>();
    int open = Scope.live();
    KernelBench.run(
        KernelBackends.select(Optional.of("reference")), sizes, new Ceiling(1e9, 1e9), found::add);
    assertEquals(open, Scope.live());
    for (var dtype : sizes.dtypes()) {
      assertEquals(
          List.of(
              "project",
              "ablate",
              "constrain",
              "ce+kl forward",
              "ce+kl reverse",
              "rms norm",
              "rms norm back",
              "rotate",
              "rotate back",
              "gate",
              "gate back",
              "adamw",
              "norm"),
          found.stream()
              .filter(m -> m.dtype() == dtype)
              .map(Measurement::kernel)
              .collect(Collectors.toList()));
    }
    for (var m : found) {
      assertTrue(m.seconds() > 0 && m.libTorch() > 0, m.toString());
    }
    // 8 x 32 values and a basis of 32 x 3 floats, or two tables of 8 x 32; 20 values of 7 floats.
    assertEquals(8 * 32 * 4 + 32 * 3 * 4, found.getFirst().bytes());
    assertEquals(4 * 8 * 32 * 4, found.get(7).bytes());
    assertEquals(20 * 28, found.get(11).bytes());
    assertEquals(20 * (24 + 4), found.get(24).bytes());
  }
}
