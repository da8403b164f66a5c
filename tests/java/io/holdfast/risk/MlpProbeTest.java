package io.holdfast.risk;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.torch.Scope;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class MlpProbeTest {
  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  /** Points of two diagonal quadrants: no line parts them from those of the other two. */
  private static double[][] quadrants(SplittableRandom random, int n, boolean same) {
    var rows = new double[n][3];
    for (double[] row : rows) {
      double sign = random.nextBoolean() ? 1 : -1;
      row[0] = sign * (0.3 + random.nextDouble());
      row[1] = (same ? sign : -sign) * (0.3 + random.nextDouble()) * 5;
      row[2] = random.nextGaussian();
    }
    return rows;
  }

  private static double[] risks(Classifier probe, double[][] rows) {
    return Arrays.stream(rows).mapToDouble(probe::risk).toArray();
  }

  @Test
  void readsWhatNoLineParts() {
    var random = new SplittableRandom(1);
    double[][] dangerous = quadrants(random, 80, true);
    double[][] harmless = quadrants(random, 80, false);
    double[][] newDangerous = quadrants(random, 80, true);
    double[][] newHarmless = quadrants(random, 80, false);
    var network = MlpProbe.fit(dangerous, harmless, MlpProbe.Settings.SMALL);
    var line = LogisticProbe.fit(dangerous, harmless, 0.01);
    double area = Discrimination.auroc(risks(network, newDangerous), risks(network, newHarmless));
    double flat = Discrimination.auroc(risks(line, newDangerous), risks(line, newHarmless));
    assertTrue(area > 0.98, "network " + area);
    assertTrue(flat < 0.7, "line " + flat);
  }

  /** Adam (Kingma and Ba 2015, the form before their section 2.1) on central differences. */
  @Test
  void everyStepIsAdamsByDifferences() {
    var random = new SplittableRandom(2);
    double[][] dangerous = quadrants(random, 20, true);
    double[][] harmless = quadrants(random, 25, false);
    var start = new MlpProbe.Settings(4, 0.05, 5e-2, 0, 3);
    var settings = new MlpProbe.Settings(4, 0.05, 5e-2, 6, 3);
    var frame = MlpProbe.fit(dangerous, harmless, start);
    double[] x = flat(frame);
    var first = new double[x.length];
    var second = new double[x.length];
    for (int step = 1; step <= 6; step++) {
      var moved = x.clone();
      double rate = 5e-2 * Math.sqrt(1 - Math.pow(0.999, step)) / (1 - Math.pow(0.9, step));
      for (int i = 0; i < x.length; i++) {
        double kept = x[i];
        x[i] = kept + 1e-5;
        double above = loss(shaped(frame, x), dangerous, harmless, settings);
        x[i] = kept - 1e-5;
        double below = loss(shaped(frame, x), dangerous, harmless, settings);
        x[i] = kept;
        double gradient = (above - below) / 2e-5;
        first[i] = 0.9 * first[i] + 0.1 * gradient;
        second[i] = 0.999 * second[i] + 0.001 * gradient * gradient;
        moved[i] -= rate * first[i] / (Math.sqrt(second[i]) + 1e-8);
      }
      x = moved;
    }
    assertArrayEquals(x, flat(MlpProbe.fit(dangerous, harmless, settings)), 1e-5);
  }

  private static double[] flat(MlpProbe probe) {
    var rows = Stream.of(probe.hidden()).flatMapToDouble(Arrays::stream);
    return Stream.of(
            rows,
            Arrays.stream(probe.hiddenBias()),
            Arrays.stream(probe.output()),
            DoubleStream.of(probe.bias()))
        .flatMapToDouble(part -> part)
        .toArray();
  }

  private static MlpProbe shaped(MlpProbe frame, double[] x) {
    int d = frame.mean().length;
    var hidden = new double[4][];
    for (int unit = 0; unit < 4; unit++) {
      hidden[unit] = Arrays.copyOfRange(x, unit * d, (unit + 1) * d);
    }
    int at = 4 * d;
    return new MlpProbe(
        frame.mean(),
        frame.deviation(),
        hidden,
        Arrays.copyOfRange(x, at, at + 4),
        Arrays.copyOfRange(x, at + 4, at + 8),
        x[at + 8]);
  }

  private static double loss(
      MlpProbe probe, double[][] dangerous, double[][] harmless, MlpProbe.Settings settings) {
    double squares = 0;
    for (int unit = 0; unit < probe.output().length; unit++) {
      squares += probe.output()[unit] * probe.output()[unit];
      squares += Arrays.stream(probe.hidden()[unit]).map(w -> w * w).sum();
    }
    return Discrimination.logLoss(risks(probe, dangerous), risks(probe, harmless))
        + settings.decay() / 2 * squares;
  }

  @Test
  void theSameSeedIsTheSameNetwork() {
    var random = new SplittableRandom(4);
    double[][] dangerous = quadrants(random, 20, true);
    double[][] harmless = quadrants(random, 20, false);
    var one = MlpProbe.fit(dangerous, harmless, MlpProbe.Settings.SMALL);
    var other = MlpProbe.fit(dangerous, harmless, MlpProbe.Settings.SMALL);
    assertArrayEquals(one.output(), other.output());
  }

  @Test
  void anEmptyClassIsRefused() {
    assertThrows(
        IllegalArgumentException.class,
        () -> MlpProbe.fit(new double[0][], new double[][] {{1}}, MlpProbe.Settings.SMALL));
  }
}
