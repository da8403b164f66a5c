package io.holdfast.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Projection, ablation and constraint against the reference. */
class SubspaceKernelsTest extends KernelCase {
  @ParameterizedTest
  @CsvSource({
    "1,1,1,0",
    "3,17,1,2",
    "17,31,3,1",
    "31,64,16,0",
    "5,127,17,3",
    "64,128,64,0",
    "2,1000,33,5",
    "127,1000,8,0",
    "9,8192,4,0",
    "700,96,16,4",
    "1,300,256,0"
  })
  void projectAblateConstrain(int n, int d, int k, int padding) {
    for (var dtype : KERNEL_DTYPES) {
      projectAblateConstrain(n, d, k, padding, dtype);
    }
  }

  private void projectAblateConstrain(int n, int d, int k, int padding, DType dtype) {
    var u = basis(d, k, padding);
    for (int m : new int[] {n, Math.max(1, n / 2)}) {
      var rows = m == n ? null : subset(n, m);
      var h = matrix(n, d, padding, 1, dtype);
      var expected = matrix(m, k, padding, 1);
      var actual = copy(expected);
      reference.project(h, rows, u, expected);
      kernels.project(h, rows, u, actual);
      assertClose("project", expected, actual);

      var g = matrix(n, d, padding, 1, dtype);
      var edited = copy(g);
      var c = matrix(m, k, padding, 1);
      var filter = weights(m);
      var weight = weights(m);
      var penalty = floats(new double[m]);
      var other = floats(new double[m]);
      reference.constrain(g, h, rows, u, c, filter, weight, penalty);
      kernels.constrain(edited, h, rows, u, c, filter, weight, other);
      assertClose("constrain", g, edited);
      assertClose("penalty", penalty, other);
      edited = copy(g);
      reference.constrain(g, h, rows, u, c, null, weight, null);
      kernels.constrain(edited, h, rows, u, c, null, weight, null);
      assertClose("constrain without filter", g, edited);
    }
    var h = matrix(n, d, padding, 1, dtype);
    var other = copy(h);
    reference.ablate(h, u);
    kernels.ablate(other, u);
    assertClose("ablate", h, other);
  }

  @Test
  void ablatedRowsHaveNoComponentLeft() {
    var u = basis(96, 7, 0);
    var h = matrix(13, 96, 0, 5);
    kernels.ablate(h, u);
    var c = matrix(13, 7, 0, 1);
    reference.project(h, null, u, c);
    for (float x : all(c)) {
      assertEquals(0, x, 1e-4);
    }
  }
}
