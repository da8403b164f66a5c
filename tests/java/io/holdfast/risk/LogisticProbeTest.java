package io.holdfast.risk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class LogisticProbeTest {
  private static double[][] cloud(SplittableRandom random, int n, int d, double shift) {
    var rows = new double[n][d];
    for (double[] row : rows) {
      for (int j = 0; j < d; j++) {
        row[j] = random.nextGaussian() * (1 + j) + (j == 0 ? shift : 0);
      }
    }
    return rows;
  }

  /** At the optimum the gradient of ridge plus mean log-loss is zero: checked from the outside. */
  @Test
  void stopsWhereTheGradientIsZero() {
    var random = new SplittableRandom(1);
    var dangerous = cloud(random, 60, 5, 1);
    var harmless = cloud(random, 90, 5, -1);
    double ridge = 0.05;
    var probe = LogisticProbe.fit(dangerous, harmless, ridge);
    int n = dangerous.length + harmless.length;
    var gradient = new double[6];
    for (int i = 0; i < n; i++) {
      double[] x = i < dangerous.length ? dangerous[i] : harmless[i - dangerous.length];
      double residual = (probe.risk(x) - (i < dangerous.length ? 1 : 0)) / n;
      for (int j = 0; j < 5; j++) {
        gradient[j] += residual * (x[j] - probe.mean()[j]) / probe.deviation()[j];
      }
      gradient[5] += residual;
    }
    for (int j = 0; j < 5; j++) {
      assertEquals(0, gradient[j] + ridge * probe.weights()[j], 1e-9, "weight " + j);
    }
    assertEquals(0, gradient[5], 1e-9, "bias");
  }

  @Test
  void separableClassesHaveAFiniteAnswer() {
    var random = new SplittableRandom(2);
    var probe = LogisticProbe.fit(cloud(random, 40, 3, 30), cloud(random, 40, 3, -30), 1e-2);
    assertTrue(probe.risk(new double[] {30, 0, 0}) > 0.95);
    assertTrue(probe.risk(new double[] {-30, 0, 0}) < 0.05);
    for (double weight : probe.weights()) {
      assertTrue(Double.isFinite(weight));
    }
  }

  /** With classes swapped the risks are the complements. */
  @Test
  void swappedClassesSwapTheRisk() {
    var random = new SplittableRandom(3);
    var one = cloud(random, 30, 4, 1);
    var other = cloud(random, 50, 4, 0);
    var probe = LogisticProbe.fit(one, other, 0.1);
    var swapped = LogisticProbe.fit(other, one, 0.1);
    for (double[] x : one) {
      assertEquals(1, probe.risk(x) + swapped.risk(x), 1e-8);
    }
  }

  @Test
  void anEmptyClassIsRefused() {
    assertThrows(
        IllegalArgumentException.class,
        () -> LogisticProbe.fit(new double[0][], new double[][] {{1}}, 1));
  }
}
