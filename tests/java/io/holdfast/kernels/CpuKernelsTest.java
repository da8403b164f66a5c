package io.holdfast.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.kernels.Kernels.KlDirection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import java.util.function.Function;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** The native CPU kernels against the reference, and against themselves with other threads. */
class CpuKernelsTest {
  private static final double TOLERANCE = 1e-5;
  private static final RowLoss FORWARD = new RowLoss(KlDirection.FORWARD);
  private static final List<DType> KERNEL_DTYPES =
      List.of(DType.FLOAT32, DType.BFLOAT16, DType.FLOAT16);

  private final Arena arena = Arena.ofConfined();
  private final SplittableRandom random = new SplittableRandom(7);
  private final Kernels cpu = KernelBackends.select(Optional.of("cpu"));
  private final Kernels reference = new ReferenceKernels();

  @AfterEach
  void free() {
    arena.close();
    KernelBackends.threads(0);
  }

  private Matrix matrix(long rows, long columns, long padding, double spread) {
    return matrix(rows, columns, padding, spread, DType.FLOAT32);
  }

  private Matrix matrix(long rows, long columns, long padding, double spread, DType dtype) {
    long stride = columns + padding;
    var memory = arena.allocate(Math.max(1, rows * stride) * dtype.bytes(), 4);
    for (long i = 0; i < rows * stride; i++) {
      dtype.set(memory, i, (float) (random.nextGaussian() * spread));
    }
    return new Matrix(memory, rows, columns, stride, dtype);
  }

  private Matrix copy(Matrix matrix) {
    var memory = arena.allocate(matrix.data().byteSize(), 4);
    memory.copyFrom(matrix.data());
    return new Matrix(memory, matrix.rows(), matrix.columns(), matrix.stride(), matrix.dtype());
  }

  /** Orthonormal columns by Gram-Schmidt. */
  private Matrix basis(int d, int k, long padding) {
    var u = matrix(d, k, padding, 1);
    for (int a = 0; a < k; a++) {
      for (int b = 0; b < a; b++) {
        double dot = 0;
        for (int i = 0; i < d; i++) {
          dot += get(u, i, a) * get(u, i, b);
        }
        for (int i = 0; i < d; i++) {
          set(u, i, a, get(u, i, a) - dot * get(u, i, b));
        }
      }
      double square = 0;
      for (int i = 0; i < d; i++) {
        square += get(u, i, a) * get(u, i, a);
      }
      for (int i = 0; i < d; i++) {
        set(u, i, a, get(u, i, a) / Math.sqrt(square));
      }
    }
    return u;
  }

  private MemorySegment floats(double... values) {
    var memory = arena.allocate(ValueLayout.JAVA_FLOAT, Math.max(1, values.length));
    for (int i = 0; i < values.length; i++) {
      memory.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) values[i]);
    }
    return memory;
  }

  private MemorySegment weights(int n) {
    var values = new double[n];
    for (int i = 0; i < n; i++) {
      values[i] = i % 3 == 0 ? 0 : random.nextDouble();
    }
    return floats(values);
  }

  /** A random subset of the rows, none twice. */
  private MemorySegment subset(int n, int m) {
    var all = new ArrayList<Long>();
    for (long i = 0; i < n; i++) {
      all.add(i);
    }
    java.util.Collections.shuffle(all, new java.util.Random(random.nextLong()));
    var memory = arena.allocate(ValueLayout.JAVA_LONG, m);
    for (int i = 0; i < m; i++) {
      memory.setAtIndex(ValueLayout.JAVA_LONG, i, all.get(i));
    }
    return memory;
  }

  private static double get(Matrix m, long i, long j) {
    return m.dtype().get(m.data(), i * m.stride() + j);
  }

  private static void set(Matrix m, long i, long j, double value) {
    m.dtype().set(m.data(), i * m.stride() + j, (float) value);
  }

  private static float[] all(MemorySegment memory) {
    return memory.toArray(ValueLayout.JAVA_FLOAT);
  }

  private static float[] all(Matrix matrix) {
    var values = new float[(int) (matrix.data().byteSize() / matrix.dtype().bytes())];
    for (int i = 0; i < values.length; i++) {
      values[i] = matrix.dtype().get(matrix.data(), i);
    }
    return values;
  }

  /** A unit in the last place, relative to the number: both sides were rounded once. */
  private static double rounding(DType dtype) {
    return switch (dtype) {
      case BFLOAT16 -> 0x1p-7;
      case FLOAT16 -> 0x1p-10;
      default -> 0;
    };
  }

  private static void assertClose(String what, MemorySegment expected, MemorySegment actual) {
    assertClose(what, all(expected), all(actual), 0);
  }

  /** Equal within the tolerance, padding included: nothing may be written there. */
  private static void assertClose(String what, Matrix expected, Matrix actual) {
    assertClose(what, all(expected), all(actual), rounding(expected.dtype()));
  }

  private static void assertClose(String what, float[] e, float[] a, double rounding) {
    double largest = 1;
    for (float value : e) {
      largest = Float.isFinite(value) ? Math.max(largest, Math.abs(value)) : largest;
    }
    for (int i = 0; i < e.length; i++) {
      boolean same = Float.isNaN(e[i]) ? Float.isNaN(a[i]) : e[i] == a[i];
      boolean close = Math.abs(e[i] - a[i]) <= TOLERANCE * largest + rounding * Math.abs(e[i]);
      assertTrue(same || close, what + " [" + i + "] expected " + e[i] + ", got " + a[i]);
    }
  }

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
      cpu.project(h, rows, u, actual);
      assertClose("project", expected, actual);

      var g = matrix(n, d, padding, 1, dtype);
      var edited = copy(g);
      var c = matrix(m, k, padding, 1);
      var filter = weights(m);
      var weight = weights(m);
      var penalty = floats(new double[m]);
      var other = floats(new double[m]);
      reference.constrain(g, h, rows, u, c, filter, weight, penalty);
      cpu.constrain(edited, h, rows, u, c, filter, weight, other);
      assertClose("constrain", g, edited);
      assertClose("penalty", penalty, other);
      edited = copy(g);
      reference.constrain(g, h, rows, u, c, null, weight, null);
      cpu.constrain(edited, h, rows, u, c, null, weight, null);
      assertClose("constrain without filter", g, edited);
    }
    var h = matrix(n, d, padding, 1, dtype);
    var other = copy(h);
    reference.ablate(h, u);
    cpu.ablate(other, u);
    assertClose("ablate", h, other);
  }

  @Test
  void ablatedRowsHaveNoComponentLeft() {
    var u = basis(96, 7, 0);
    var h = matrix(13, 96, 0, 5);
    cpu.ablate(h, u);
    var c = matrix(13, 7, 0, 1);
    reference.project(h, null, u, c);
    for (float x : all(c)) {
      assertEquals(0, x, 1e-4);
    }
  }

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
      cpu.crossEntropyKl(
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
    cpu.crossEntropyKl(z, null, null, labels, floats(1, 1, 1), null, FORWARD, ce, null);
    for (int j = 0; j < 40; j++) {
      assertTrue(Double.isFinite(get(z, 0, j)) && Double.isFinite(get(z, 2, j)));
      assertTrue(Double.isNaN(get(z, 1, j)));
    }
    assertTrue(Float.isNaN(ce.getAtIndex(ValueLayout.JAVA_FLOAT, 1)));
  }

  private List<AdamwTensor> tensors(DType dtype) {
    var list = new ArrayList<AdamwTensor>();
    int[][] shapes = {{1, 1}, {3, 17}, {1, 40_000}, {31, 127}, {64, 64}};
    for (int i = 0; i < shapes.length; i++) {
      int n = shapes[i][0];
      int c = shapes[i][1];
      var second = matrix(n, c, 1, 1);
      for (int a = 0; a < n; a++) {
        for (int b = 0; b < c; b++) {
          set(second, a, b, Math.abs(get(second, a, b)));
        }
      }
      boolean options = i % 2 == 1;
      list.add(
          new AdamwTensor(
              matrix(n, c, 2, 1, dtype),
              matrix(n, c, 0, 1, dtype),
              matrix(n, c, 0, 1),
              second,
              dtype == DType.FLOAT32 ? null : matrix(n, c, 0, 1),
              0.1,
              options ? new AdamwTensor.Pull(matrix(n, c, 3, 1, dtype), 0.3, i == 1) : null,
              options ? basis(n, Math.min(3, n), 0) : null));
    }
    return list;
  }

  private AdamwTensor copy(AdamwTensor t) {
    return new AdamwTensor(
        copy(t.parameter()),
        t.gradient(),
        copy(t.firstMoment()),
        copy(t.secondMoment()),
        t.master() == null ? null : copy(t.master()),
        t.weightDecay(),
        t.pull(),
        t.basis());
  }

  @ParameterizedTest
  @EnumSource(names = {"FLOAT32", "BFLOAT16", "FLOAT16"})
  void adamwWithEveryOption(DType dtype) {
    var expected = tensors(dtype);
    var actual = expected.stream().map(this::copy).toList();
    for (long step = 1; step <= 3; step++) {
      var constants = new AdamwStep(step, 1e-2, 0.9, 0.95, 1e-8, 0.7);
      reference.adamw(expected, constants);
      cpu.adamw(actual, constants);
    }
    for (int i = 0; i < expected.size(); i++) {
      assertClose("p", expected.get(i).parameter(), actual.get(i).parameter());
      assertClose("m", expected.get(i).firstMoment(), actual.get(i).firstMoment());
      assertClose("v", expected.get(i).secondMoment(), actual.get(i).secondMoment());
    }
  }

  @Test
  void normOfMany() {
    var gradients = List.of(matrix(1, 1, 0, 1), matrix(7, 50_001, 3, 1), matrix(0, 5, 0, 1));
    double expected = reference.norm(gradients);
    assertEquals(1, cpu.norm(gradients) / expected, 1e-6);
    assertEquals(0, cpu.norm(List.of()));
    set(gradients.get(1), 3, 49_999, Float.NaN);
    assertTrue(Double.isNaN(cpu.norm(gradients)));
    set(gradients.get(1), 3, 49_999, Float.NEGATIVE_INFINITY);
    assertEquals(Double.POSITIVE_INFINITY, cpu.norm(gradients));
  }

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
          return out.stream().map(CpuKernelsTest::all).toList();
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
