package io.holdfast.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.kernels.Kernels.KlDirection;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/** What the CPU kernels alone promise: any number of threads, and arguments that are looked at. */
class CpuKernelsTest extends KernelCase {
  private final Kernels cpu = KernelBackends.select(Optional.of("cpu"));

  /** Every kernel, bit for bit the same with any number of threads. */
  @Test
  void threadsChangeNothing() {
    var u = basis(256, 24, 0);
    var h = matrix(600, 256, 0, 1);
    var g = matrix(600, 256, 0, 1);
    var c = matrix(600, 24, 0, 1);
    var z = matrix(90, 5000, 0, 3);
    var r = matrix(90, 5000, 0, 3);
    var ones = weights(600);
    var labels = arena.allocate(ValueLayout.JAVA_LONG, 90);
    var tensors = tensors(DType.FLOAT32);
    var longRow = matrix(4, 200_001, 0, 3, DType.BFLOAT16);
    var longReference = matrix(4, 200_001, 0, 3, DType.BFLOAT16);
    Function<Consumer<List<MemorySegment>>, List<float[]>> record =
        run -> {
          var out = new ArrayList<MemorySegment>();
          run.accept(out);
          return out.stream().map(KernelCase::all).toList();
        };
    Consumer<List<MemorySegment>> everything =
        out -> {
          var projected = copy(c);
          cpu.project(h, null, u, projected);
          var edited = copy(g);
          cpu.constrain(edited, h, null, u, c, ones, ones, null);
          var logits = copy(z);
          var ce = floats(new double[90]);
          var kl = floats(new double[90]);
          cpu.crossEntropyKl(logits, r, null, labels, ones, ones, FORWARD, ce, kl);
          var wide = copy(longRow);
          var few = floats(new double[4]);
          var reverse = new RowLoss(KlDirection.REVERSE, 0.1, 20);
          cpu.crossEntropyKl(wide, longReference, null, labels, ones, ones, reverse, few, few);
          var updated = tensors.stream().map(this::copy).toList();
          cpu.adamw(updated, new AdamwStep(1, 1e-2, 0.9, 0.95, 1e-8, 1));
          out.addAll(List.of(projected.data(), edited.data(), logits.data(), ce, kl));
          updated.forEach(t -> out.add(t.parameter().data()));
          out.addAll(List.of(wide.data(), few, floats(cpu.norm(List.of(h, z)))));
        };
    KernelBackends.threads(1);
    var alone = record.apply(everything);
    for (int threads : new int[] {2, 3, 8}) {
      KernelBackends.threads(threads);
      var together = record.apply(everything);
      for (int i = 0; i < alone.size(); i++) {
        assertArrayEquals(alone.get(i), together.get(i), threads + " threads, output " + i);
      }
    }
  }

  @Test
  void badArgumentsAreNamed() {
    var h = matrix(4, 8, 0, 1);
    var c = matrix(4, 2, 0, 1);
    assertNamed("u: 7 x 2", () -> cpu.project(h, null, matrix(7, 2, 0, 1), c));
    assertNamed("u: 8 x 9", () -> cpu.ablate(h, matrix(8, 9, 0, 1)));
    assertNamed("no row index", () -> cpu.project(h, null, basis(8, 2, 0), matrix(3, 2, 0, 1)));
    var outside = arena.allocate(ValueLayout.JAVA_LONG, 4);
    outside.setAtIndex(ValueLayout.JAVA_LONG, 2, 4);
    assertNamed("rows[2]: 4", () -> cpu.project(h, outside, basis(8, 2, 0), c));
    assertNamed(
        "labels[2]: 4",
        () ->
            cpu.crossEntropyKl(
                matrix(4, 4, 0, 1),
                null,
                null,
                outside,
                weights(4),
                null,
                FORWARD,
                floats(new double[4]),
                null));
    var doubles = new Matrix(arena.allocate(256), 4, 8, 8, DType.FLOAT64);
    assertNamed("h: dtype code 3", () -> cpu.ablate(doubles, basis(8, 2, 0)));
    var halves = matrix(4, 8, 0, 1, DType.BFLOAT16);
    assertNamed(
        "g: has dtype code 1, h has 0",
        () -> cpu.constrain(halves, h, null, basis(8, 2, 0), c, null, null, null));
  }

  private static void assertNamed(String part, Runnable call) {
    var error = assertThrows(IllegalArgumentException.class, call::run);
    assertTrue(error.getMessage().contains(part), error.getMessage());
    assertFalse(error.getMessage().isBlank());
  }
}
