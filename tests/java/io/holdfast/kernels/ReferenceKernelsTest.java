package io.holdfast.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.holdfast.kernels.Kernels.KlDirection;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The oracle itself, against finite differences and hand-written traces. */
class ReferenceKernelsTest {
  private final Kernels kernels = new ReferenceKernels();

  private static MemorySegment memory(double... values) {
    var floats = new float[values.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) values[i];
    }
    return MemorySegment.ofArray(floats);
  }

  private static Matrix matrix(int rows, int columns, double... values) {
    return Matrix.dense(memory(values), rows, columns, DType.FLOAT32);
  }

  private static double get(Matrix m, int i, int j) {
    return m.data().get(ValueLayout.JAVA_FLOAT_UNALIGNED, (i * m.stride() + j) * 4);
  }

  private static double[] gaussian(SplittableRandom random, int n) {
    return random.doubles(n, -2, 2).map(x -> (float) x).toArray();
  }

  /** The loss of one row in double, written independently of the kernel. */
  private static double loss(
      double[] z, double[] r, int label, double a, double b, KlDirection direction) {
    double[] p = softmax(z);
    double[] q = softmax(r);
    double kl = 0;
    for (int j = 0; j < z.length; j++) {
      kl +=
          direction == KlDirection.FORWARD
              ? q[j] * Math.log(q[j] / p[j])
              : p[j] * Math.log(p[j] / q[j]);
    }
    return -a * Math.log(p[label]) + b * kl;
  }

  private static double[] softmax(double[] z) {
    double sum = 0;
    for (double x : z) {
      sum += Math.exp(x);
    }
    var p = new double[z.length];
    for (int j = 0; j < p.length; j++) {
      p[j] = Math.exp(z[j]) / sum;
    }
    return p;
  }

  @ParameterizedTest
  @EnumSource(KlDirection.class)
  void crossEntropyAndKlByCentralDifferences(KlDirection direction) {
    var random = new SplittableRandom(1);
    double[] z = gaussian(random, 11);
    double[] r = gaussian(random, 11);
    var gradient = matrix(1, 11, z);
    var ce = memory(0);
    var kl = memory(0);
    var labels = MemorySegment.ofArray(new long[] {4});
    kernels.crossEntropyKl(
        gradient,
        matrix(1, 11, r),
        null,
        labels,
        memory(0.3),
        memory(0.7),
        new RowLoss(direction),
        ce,
        kl);
    double step = 1e-5;
    for (int j = 0; j < z.length; j++) {
      double[] up = z.clone();
      double[] down = z.clone();
      up[j] += step;
      down[j] -= step;
      float a = 0.3f;
      float b = 0.7f;
      double slope =
          (loss(up, r, 4, a, b, direction) - loss(down, r, 4, a, b, direction)) / (2 * step);
      assertEquals(slope, get(gradient, 0, j), 1e-6);
    }
    assertEquals(loss(z, r, 4, 1, 0, direction), ce.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 0), 1e-6);
    assertEquals(loss(z, r, 4, 0, 1, direction), kl.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 0), 1e-6);
  }

  @Test
  void constraintIsTheGradientOfItsPenalty() {
    var random = new SplittableRandom(2);
    double[] h = gaussian(random, 6);
    double[] c = {0.3, -0.2};
    // Two orthonormal directions in six dimensions.
    double s = Math.sqrt(0.5);
    var u = matrix(6, 2, s, 0, s, 0, 0, 1, 0, 0, 0, 0, 0, 0);
    var g = matrix(1, 6, new double[6]);
    var penalty = memory(0);
    kernels.constrain(g, matrix(1, 6, h), null, u, matrix(1, 2, c), null, memory(1.5), penalty);
    double step = 1e-4;
    for (int i = 0; i < 6; i++) {
      double[] up = h.clone();
      double[] down = h.clone();
      up[i] += step;
      down[i] -= step;
      double slope = 0.75 * (distance(up, s, c) - distance(down, s, c)) / (2 * step);
      assertEquals(slope, get(g, 0, i), 1e-5);
    }
    assertEquals(distance(h, s, c), penalty.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 0), 1e-5);
  }

  private static double distance(double[] h, double s, double[] c) {
    double first = s * (h[0] + h[1]) - c[0];
    double second = h[2] - c[1];
    return first * first + second * second;
  }

  @Test
  void aFullFilterRemovesTheGradientFromTheSubspace() {
    var g = matrix(1, 3, 1, 2, 3);
    var u = matrix(3, 1, 0, 1, 0);
    kernels.constrain(g, matrix(1, 3, 0, 0, 0), null, u, matrix(1, 1, 0), memory(1), null, null);
    assertEquals(1, get(g, 0, 0));
    assertEquals(0, get(g, 0, 1));
    assertEquals(3, get(g, 0, 2));
  }

  /** Two steps by hand: lr 0.1, betas 0.9 and 0.99, decay 0.5, gradients 2 then -1, halved. */
  @Test
  void adamwByHand() {
    var p = matrix(1, 1, 1);
    var m = matrix(1, 1, 0);
    var v = matrix(1, 1, 0);
    kernels.adamw(
        List.of(AdamwTensor.plain(p, matrix(1, 1, 2), m, v, 0.5)),
        new AdamwStep(1, 0.1, 0.9, 0.99, 0, 0.5));
    // g = 1: m = 0.1, v = 0.01, both corrected to 1, so p = 1 * 0.95 - 0.1.
    assertEquals(0.85, get(p, 0, 0), 1e-6);
    kernels.adamw(
        List.of(AdamwTensor.plain(p, matrix(1, 1, -1), m, v, 0.5)),
        new AdamwStep(2, 0.1, 0.9, 0.99, 0, 0.5));
    // g = -0.5: m = 0.04, corrected by 0.19; v = 0.0099 + 0.0025 = 0.0124, corrected by 0.0199.
    double expected = 0.85 * 0.95 - 0.1 * (0.04 / 0.19) / Math.sqrt(0.0124 / 0.0199);
    assertEquals(expected, get(p, 0, 0), 1e-6);
  }

  /** Label smoothing and the cap: the gradient is the slope of the loss that the kernel reports. */
  @ParameterizedTest
  @EnumSource(KlDirection.class)
  void smoothedAndCappedByCentralDifferences(KlDirection direction) {
    var random = new SplittableRandom(3);
    double[] z = gaussian(random, 7);
    double[] r = gaussian(random, 7);
    var loss = new RowLoss(direction, 0.2, 1.5);
    for (int j = 0; j < z.length; j++) {
      double[] up = z.clone();
      double[] down = z.clone();
      up[j] += 1e-2;
      down[j] -= 1e-2;
      double slope = (weighted(up, r, loss) - weighted(down, r, loss)) / 2e-2;
      var gradient = matrix(1, 7, z);
      weighted(gradient, r, loss);
      assertEquals(slope, get(gradient, 0, j), 2e-4);
    }
  }

  private double weighted(double[] z, double[] r, RowLoss loss) {
    return weighted(matrix(1, 7, z), r, loss);
  }

  private double weighted(Matrix z, double[] r, RowLoss loss) {
    var ce = memory(0);
    var kl = memory(0);
    var labels = MemorySegment.ofArray(new long[] {4});
    kernels.crossEntropyKl(
        z, matrix(1, 7, r), null, labels, memory(0.5), memory(0.25), loss, ce, kl);
    return 0.5 * ce.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 0)
        + 0.25 * kl.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 0);
  }

  /** torch.nn.functional.cross_entropy of (1, 2, 4), label 1, label_smoothing 0.3. */
  @Test
  void labelSmoothingAsPyTorchHasIt() {
    var ce = memory(0);
    kernels.crossEntropyKl(
        matrix(1, 3, 1, 2, 4),
        null,
        null,
        MemorySegment.ofArray(new long[] {1}),
        memory(1),
        null,
        new RowLoss(KlDirection.FORWARD, 0.3, 0),
        ce,
        null);
    assertEquals(2.0698461, ce.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 0), 1e-6);
  }

  /** A first step: m / sqrt(v) is the gradient's sign, so only its direction shows. */
  @Test
  void aCoupledPullJoinsTheGradientAndADecoupledOneDoesNot() {
    for (boolean coupled : new boolean[] {true, false}) {
      var p = matrix(1, 2, 1, 1);
      var pull = new AdamwTensor.Pull(matrix(1, 2, 3, 1), 0.5, coupled);
      kernels.adamw(
          List.of(
              new AdamwTensor(
                  p,
                  matrix(1, 2, 0.25, 0.25),
                  matrix(1, 2, 0, 0),
                  matrix(1, 2, 0, 0),
                  null,
                  0,
                  pull,
                  null)),
          new AdamwStep(1, 0.1, 0.9, 0.99, 1e-8, 1));
      // Coupled: 0.25 + 0.5 (1 - 3) is negative. Decoupled: -0.1, and 0.1 * 0.5 * 2 back.
      assertEquals(coupled ? 1.1 : 1.0, get(p, 0, 0), 1e-6);
      assertEquals(0.9, get(p, 0, 1), 1e-6);
    }
  }

  @Test
  void aBasisKeepsTheUpdateOutOfIt() {
    var p = matrix(2, 1, 1, 1);
    kernels.adamw(
        List.of(
            new AdamwTensor(
                p,
                matrix(2, 1, 3, 4),
                matrix(2, 1, 0, 0),
                matrix(2, 1, 0, 0),
                null,
                0,
                null,
                matrix(2, 1, 1, 0))),
        new AdamwStep(1, 0.1, 0.9, 0.99, 1e-8, 1));
    assertEquals(1, get(p, 0, 0), 1e-7);
    assertEquals(0.9, get(p, 1, 0), 1e-6);
  }
}
