package io.holdfast.kernels;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.kernels.Kernels.KlDirection;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Rows of logits against the reference. */
class RowKernelsTest extends KernelCase {
  @ParameterizedTest
  @EnumSource(KlDirection.class)
  void crossEntropyAndKl(KlDirection direction) {
    for (int v : new int[] {1, 3, 17, 31, 64, 127, 1000, 1461, 50_257}) {
      int n = v > 10_000 ? 3 : 9;
      for (double spread : new double[] {1, 30}) {
        compareCeKl(
            matrix(n, v, v % 5, spread), matrix(n, v, 0, spread), new RowLoss(direction), null);
      }
    }
  }

  /** Subset, weights, smoothing and cap at once, in each dtype, to the largest vocabulary. */
  @ParameterizedTest
  @CsvSource({"FORWARD,1000", "REVERSE,1000", "FORWARD,127", "REVERSE,3", "REVERSE,262144"})
  void crossEntropyAndKlWithEveryOption(KlDirection direction, int v) {
    int n = v > 10_000 ? 3 : 31;
    var loss = new RowLoss(direction, 0.1, 30);
    for (var dtype : KERNEL_DTYPES) {
      compareCeKl(
          matrix(n, v, 3, 10, dtype), matrix(n, v, 0, 10, dtype), loss, subset(n, n / 2 + 1));
    }
  }

  private void compareCeKl(Matrix z, Matrix r, RowLoss loss, MemorySegment rows) {
    int v = (int) z.columns();
    int n = rows == null ? (int) z.rows() : (int) (rows.byteSize() / Long.BYTES);
    var labels = arena.allocate(ValueLayout.JAVA_LONG, n);
    for (int i = 0; i < n; i++) {
      labels.setAtIndex(ValueLayout.JAVA_LONG, i, i % 4 == 3 ? -100 : random.nextInt(v));
    }
    var ceWeight = weights(n);
    for (var klWeight : new MemorySegment[] {null, weights(n)}) {
      var expected = copy(z);
      var actual = copy(z);
      var losses = List.of(floats(new double[n]), floats(new double[n]));
      var others = List.of(floats(new double[n]), floats(new double[n]));
      var with = klWeight == null ? null : r;
      reference.crossEntropyKl(
          expected, with, rows, labels, ceWeight, klWeight, loss, losses.get(0), losses.get(1));
      kernels.crossEntropyKl(
          actual, with, rows, labels, ceWeight, klWeight, loss, others.get(0), others.get(1));
      assertClose("gradient of " + v, expected, actual);
      assertClose("cross entropy of " + v, losses.get(0), others.get(0));
      if (klWeight != null) {
        assertClose("divergence of " + v, losses.get(1), others.get(1));
      }
    }
  }

  @ParameterizedTest
  @EnumSource(KlDirection.class)
  void extremeAndBrokenLogits(KlDirection direction) {
    var z = matrix(8, 37, 2, 1);
    var r = matrix(8, 37, 0, 1);
    set(z, 0, 5, 1e4);
    set(z, 1, 5, -1e4);
    set(r, 2, 3, 1e4);
    set(z, 3, 0, Float.NaN);
    set(z, 4, 36, Float.POSITIVE_INFINITY);
    set(r, 5, 7, Float.NaN);
    for (int j = 0; j < 30; j++) {
      set(r, 6, j, -200 + j);
      set(z, 6, j, -200 + j);
    }
    compareCeKl(z, r, new RowLoss(direction), null);
  }

  @Test
  void aRowThatIsNotFiniteLeavesItsNeighboursAlone() {
    var z = matrix(3, 40, 0, 1);
    set(z, 1, 20, Float.NaN);
    var labels = arena.allocate(ValueLayout.JAVA_LONG, 3);
    var ce = floats(0, 0, 0);
    kernels.crossEntropyKl(z, null, null, labels, floats(1, 1, 1), null, FORWARD, ce, null);
    for (int j = 0; j < 40; j++) {
      assertTrue(Double.isFinite(get(z, 0, j)) && Double.isFinite(get(z, 2, j)));
      assertTrue(Double.isNaN(get(z, 1, j)));
    }
    assertTrue(Float.isNaN(ce.getAtIndex(ValueLayout.JAVA_FLOAT, 1)));
  }
}
