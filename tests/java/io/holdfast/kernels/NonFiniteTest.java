package io.holdfast.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.kernels.Kernels.KlDirection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** NaN, infinity and switched-off terms: the contract of {@code holdfast.h}, on each back end. */
class NonFiniteTest {
  private static final float NAN = Float.NaN;
  private static final float INFINITY = Float.POSITIVE_INFINITY;

  private final Arena arena = Arena.ofConfined();

  @AfterEach
  void free() {
    arena.close();
  }

  private static Kernels kernels(String name) {
    return KernelBackends.select(Optional.of(name));
  }

  private MemorySegment floats(float... values) {
    return arena.allocateFrom(ValueLayout.JAVA_FLOAT, values);
  }

  private Matrix rows(float[]... rows) {
    var matrix =
        Matrix.dense(
            arena.allocate(4L * rows.length * rows[0].length, 4),
            rows.length,
            rows[0].length,
            DType.FLOAT32);
    for (int i = 0; i < rows.length; i++) {
      MemorySegment.copy(
          rows[i],
          0,
          matrix.data(),
          ValueLayout.JAVA_FLOAT,
          4L * i * rows[i].length,
          rows[i].length);
    }
    return matrix;
  }

  private static float[] row(Matrix matrix, int i) {
    return matrix
        .data()
        .asSlice(4 * i * matrix.stride(), 4 * matrix.columns())
        .toArray(ValueLayout.JAVA_FLOAT);
  }

  private static boolean allNan(float[] values) {
    for (float value : values) {
      if (!Float.isNaN(value)) {
        return false;
      }
    }
    return true;
  }

  /** Loss and gradient of rows with label 0, and a KL weight where there is a reference. */
  private record Rows(Matrix gradient, float[] ce, float[] kl) {}

  private Rows run(String backEnd, KlDirection direction, float[] klWeight, Matrix z, Matrix r) {
    int n = (int) z.rows();
    var weight = new float[n];
    java.util.Arrays.fill(weight, 1);
    var ce = floats(new float[n]);
    var kl = floats(new float[n]);
    kernels(backEnd)
        .crossEntropyKl(
            z,
            r,
            null,
            arena.allocate(ValueLayout.JAVA_LONG, n),
            floats(weight),
            klWeight == null ? null : floats(klWeight),
            new RowLoss(direction),
            ce,
            kl);
    return new Rows(z, ce.toArray(ValueLayout.JAVA_FLOAT), kl.toArray(ValueLayout.JAVA_FLOAT));
  }

  @ParameterizedTest
  @ValueSource(strings = {"reference", "cpu"})
  void aLogitOfMinusInfinityIsProbabilityZero(String backEnd) {
    var masked = new float[] {0, -INFINITY, 0, -INFINITY};
    for (var direction : KlDirection.values()) {
      var out = run(backEnd, direction, new float[] {1}, rows(masked), rows(masked));
      assertEquals(Math.log(2), out.ce[0], 1e-6);
      assertEquals(0, out.kl[0], 1e-6);
      assertEquals(-0.5, row(out.gradient, 0)[0], 1e-6);
      assertEquals(0, row(out.gradient, 0)[1]);
      assertEquals(0.5, row(out.gradient, 0)[2], 1e-6);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"reference", "cpu"})
  void aMaskedTokenThatTheReferenceWantsIsInfinitelyFar(String backEnd) {
    var z = rows(new float[] {0, -INFINITY});
    var out = run(backEnd, KlDirection.FORWARD, new float[] {1}, z, rows(new float[] {0, 0}));
    assertEquals(INFINITY, out.kl[0]);
    assertEquals(-0.5, row(out.gradient, 0)[1], 1e-6);
  }

  @ParameterizedTest
  @ValueSource(strings = {"reference", "cpu"})
  void aRowThatIsNotADistributionIsNan(String backEnd) {
    for (float[] bad :
        List.of(
            new float[] {1, NAN, 2},
            new float[] {1, 2, INFINITY},
            new float[] {-INFINITY, -INFINITY, -INFINITY})) {
      var z = rows(new float[] {1, 2, 3}, bad, new float[] {3, 2, 1});
      var out = run(backEnd, KlDirection.FORWARD, null, z, null);
      assertTrue(Float.isNaN(out.ce[1]));
      assertTrue(allNan(row(out.gradient, 1)));
      assertEquals(
          0, row(out.gradient, 0)[0] + row(out.gradient, 0)[1] + row(out.gradient, 0)[2], 1e-6);
      assertEquals(
          0, row(out.gradient, 2)[0] + row(out.gradient, 2)[1] + row(out.gradient, 2)[2], 1e-6);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"reference", "cpu"})
  void aBrokenReferenceDoesNotMatterWhereItsWeightIsZero(String backEnd) {
    for (var direction : KlDirection.values()) {
      var z = rows(new float[] {1, 2, 3}, new float[] {1, 2, 3});
      var r = rows(new float[] {NAN, 0, 0}, new float[] {NAN, 0, 0});
      var out = run(backEnd, direction, new float[] {0, 1}, z, r);
      assertEquals(0, row(z, 0)[0] + row(z, 0)[1] + row(z, 0)[2], 1e-6);
      assertTrue(Float.isFinite(out.ce[1]));
      assertTrue(Float.isNaN(out.kl[1]));
      assertTrue(Float.isNaN(row(z, 1)[0]));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"reference", "cpu"})
  void aRowThatIsOffBecomesZeroWhateverItHolds(String backEnd) {
    var z = rows(new float[] {NAN, 1, 2});
    var ce = floats(0);
    kernels(backEnd)
        .crossEntropyKl(
            z,
            null,
            null,
            arena.allocate(ValueLayout.JAVA_LONG, 1),
            floats(0),
            null,
            new RowLoss(KlDirection.FORWARD),
            ce,
            null);
    assertEquals(0, row(z, 0)[0]);
    assertEquals(0, row(z, 0)[2]);
    assertTrue(Float.isNaN(ce.get(ValueLayout.JAVA_FLOAT, 0)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"reference", "cpu"})
  void extremeLogitsAreExact(String backEnd) {
    var z = rows(new float[] {1e4f, -1e4f, 0}, new float[] {-1e4f, 1e4f, 0});
    var out = run(backEnd, KlDirection.FORWARD, null, z, null);
    assertEquals(0, out.ce[0], 1e-6);
    assertEquals(2e4, out.ce[1], 1e-2);
    assertEquals(-1, row(z, 1)[0], 1e-6);
    assertEquals(1, row(z, 1)[1], 1e-6);
  }

  /** Five rows: a whole group of the CPU's and one more. */
  @ParameterizedTest
  @ValueSource(strings = {"reference", "cpu"})
  void hiddenStatesThatAreNotFiniteStayInTheirRow(String backEnd) {
    var h = new float[5][4];
    h[1][2] = NAN;
    h[4][0] = INFINITY;
    var u = rows(new float[] {1}, new float[] {0.5f}, new float[] {0.25f}, new float[] {0});
    var c = rows(new float[5][1]);
    kernels(backEnd).project(rows(h), null, u, c);
    assertTrue(Float.isNaN(row(c, 1)[0]));
    assertEquals(INFINITY, row(c, 4)[0]);
    assertEquals(0, row(c, 0)[0]);

    var g = rows(new float[5][4]);
    var target = rows(new float[5][1]);
    kernels(backEnd).constrain(g, rows(h), null, u, target, null, floats(1, 0, 1, 1, 1), null);
    assertFalse(allNan(row(g, 1)), "a weight of 0 switches the row's term off");
    for (int i : new int[] {0, 1, 2, 3}) {
      assertEquals(0, row(g, i)[0]);
    }
    assertFalse(Float.isFinite(row(g, 4)[0]));
  }

  @ParameterizedTest
  @ValueSource(strings = {"reference", "cpu"})
  void aGradientThatIsNotFiniteReachesOnlyItsOwnParameter(String backEnd) {
    var p = rows(new float[] {1, 2, 3});
    kernels(backEnd)
        .adamw(
            List.of(
                AdamwTensor.plain(
                    p, rows(new float[] {1, NAN, 1}), rows(new float[3]), rows(new float[3]), 0)),
            new AdamwStep(1, 0.1, 0.9, 0.99, 1e-8, 1));
    assertEquals(0.9, row(p, 0)[0], 1e-6);
    assertTrue(Float.isNaN(row(p, 0)[1]));
    assertEquals(2.9, row(p, 0)[2], 1e-6);
  }
}
