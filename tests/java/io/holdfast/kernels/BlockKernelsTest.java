package io.holdfast.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.kernels.BlockKernels.Activation;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The native pieces of a block on the CPU against the reference, and against themselves with other
 * threads.
 */
class BlockKernelsTest {
  private final Arena arena = Arena.ofConfined();
  private final BlockKernels cpu = KernelBackends.select(Optional.of("cpu")).block();
  private final BlockKernels reference = new ReferenceKernels().block();
  private SplittableRandom random = new SplittableRandom(7);

  @AfterEach
  void free() {
    arena.close();
    KernelBackends.threads(0);
  }

  private Matrix matrix(long rows, long columns, long padding, double spread, DType dtype) {
    long stride = columns + padding;
    var memory = arena.allocate(Math.max(1, rows * stride) * dtype.bytes(), 4);
    for (long i = 0; i < rows * stride; i++) {
      dtype.set(memory, i, (float) (random.nextGaussian() * spread));
    }
    return new Matrix(memory, rows, columns, stride, dtype);
  }

  private MemorySegment floats(long n) {
    return arena.allocate(ValueLayout.JAVA_FLOAT, Math.max(1, n));
  }

  /** Everything that the pieces write for one draw of numbers, float32 last. */
  private List<float[]> everything(BlockKernels kernels, int n, int d, DType dtype) {
    random = new SplittableRandom(n * 1000L + d);
    var written = new ArrayList<float[]>();
    for (boolean onePlus : new boolean[] {false, true}) {
      var x = matrix(n, d, 3, 2, dtype);
      var w = matrix(1, d, 0, 1, dtype);
      var g = matrix(n, d, 1, 1, dtype);
      var y = matrix(n, d, 2, 0, dtype);
      var inverse = floats(n);
      var dw = floats(d);
      kernels.rmsNorm(x, w, 1e-3, onePlus, y, inverse);
      kernels.rmsNormBackward(x, w, onePlus, inverse, g, g, dw);
      written.addAll(List.of(all(y), all(g), floats(inverse), floats(dw)));
    }
    int head = 2 * d;
    var heads = matrix(2 * n, 3L * head, 2, 1, dtype);
    var cos = matrix(n, d + d % 2, 1, 1, dtype);
    var sin = matrix(n, d + d % 2, 0, 1, dtype);
    kernels.rotate(heads, head, cos, sin, false);
    written.add(all(heads));
    kernels.rotate(heads, head, cos, sin, true);
    written.add(all(heads));
    for (var activation : Activation.values()) {
      var a = matrix(n, d, 3, 3, dtype);
      var b = matrix(n, d, 0, 1, dtype);
      var y = matrix(n, d, 2, 0, dtype);
      kernels.gate(a, b, activation, y);
      kernels.gateBackward(a, b, activation, y, a, b);
      written.addAll(List.of(all(y), all(a), all(b)));
    }
    return written;
  }

  private static float[] all(Matrix matrix) {
    var values = new float[(int) (matrix.data().byteSize() / matrix.dtype().bytes())];
    for (int i = 0; i < values.length; i++) {
      values[i] = matrix.dtype().get(matrix.data(), i);
    }
    return values;
  }

  private static float[] floats(MemorySegment memory) {
    return memory.toArray(ValueLayout.JAVA_FLOAT);
  }

  @ParameterizedTest
  @EnumSource(names = {"FLOAT32", "BFLOAT16", "FLOAT16"})
  void equalTheReference(DType dtype) {
    for (int d : new int[] {1, 3, 17, 64, 127, 1000}) {
      for (int n : new int[] {1, 7}) {
        var expected = everything(reference, n, d, dtype);
        var actual = everything(cpu, n, d, dtype);
        for (int i = 0; i < expected.size(); i++) {
          assertClose("%d of %d x %d".formatted(i, n, d), expected.get(i), actual.get(i), dtype);
        }
      }
    }
  }

  /** Within two units in the last place: what is rounded on the way may round the other way. */
  private static void assertClose(String what, float[] expected, float[] actual, DType dtype) {
    double place =
        switch (dtype) {
          case BFLOAT16 -> 0x1p-7;
          case FLOAT16 -> 0x1p-10;
          default -> 0;
        };
    double largest = 1;
    for (float value : expected) {
      largest = Math.max(largest, Math.abs(value));
    }
    for (int i = 0; i < expected.length; i++) {
      double tolerance = 1e-5 * largest + 2 * place * Math.max(2, Math.abs(expected[i]));
      assertTrue(
          Math.abs(expected[i] - actual[i]) <= tolerance,
          "%s, element %d: expected %s, got %s".formatted(what, i, expected[i], actual[i]));
    }
  }

  @Test
  void threadsChangeNothing() {
    KernelBackends.threads(1);
    var alone = everything(cpu, 333, 400, DType.FLOAT32);
    KernelBackends.threads(3);
    var together = everything(cpu, 333, 400, DType.FLOAT32);
    for (int i = 0; i < alone.size(); i++) {
      assertArrayEquals(alone.get(i), together.get(i));
    }
  }

  @Test
  void badArgumentsAreNamed() {
    var x = matrix(4, 6, 0, 1, DType.FLOAT32);
    var w = matrix(1, 6, 0, 1, DType.FLOAT32);
    var half = matrix(4, 6, 0, 1, DType.BFLOAT16);
    Consumer<Runnable> refused = call -> assertThrows(IllegalArgumentException.class, call::run);
    refused.accept(() -> cpu.rmsNorm(x, x, 0, false, x, null));
    refused.accept(() -> cpu.rmsNorm(x, w, -1, false, x, null));
    refused.accept(() -> cpu.rmsNormBackward(x, w, false, floats(3), x, x, null));
    refused.accept(() -> cpu.rmsNormBackward(x, w, false, floats(4), x, x, floats(5)));
    refused.accept(() -> cpu.rotate(x, 4, w, w, false));
    refused.accept(() -> cpu.gate(x, half, Activation.SILU, x));
    refused.accept(() -> cpu.gateBackward(x, x, Activation.SILU, x, w, x));
  }
}
