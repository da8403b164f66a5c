package io.holdfast.guard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.holdfast.HoldfastException;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class SubspaceFitTest {
  private static final int WIDTH = 12;

  /** Harmful prompts lie along planted axes with known spread; benign ones at the origin. */
  private static double[][] planted(SplittableRandom random, int n, double... spread) {
    var rows = new double[n][WIDTH];
    for (double[] row : rows) {
      for (int j = 0; j < WIDTH; j++) {
        row[j] = random.nextGaussian() * (j < spread.length ? spread[j] : 1e-3);
      }
    }
    return rows;
  }

  private static SubspaceFit.Layer fit(double[][] harmful, double[][] benign, int rank) {
    return SubspaceFit.fit(
        new SubspaceFit.Activations(List.<double[][]>of(harmful)),
        new SubspaceFit.Activations(List.<double[][]>of(benign)),
        rank);
  }

  @Test
  void columnsAreOrthonormal() {
    var random = new SplittableRandom(1);
    var basis = fit(planted(random, 50, 3, 2, 1, 1), planted(random, 50, 1), 6).basis();
    for (int a = 0; a < 6; a++) {
      for (int b = 0; b < 6; b++) {
        double dot = 0;
        for (double[] row : basis) {
          dot += row[a] * row[b];
        }
        assertEquals(a == b ? 1 : 0, dot, 1e-10);
      }
    }
  }

  @Test
  void theMeanDifferenceComesFirstAndGivesTheScale() {
    var random = new SplittableRandom(2);
    var harmful = planted(random, 40, 1, 1);
    var benign = planted(random, 40, 1);
    var difference = new double[WIDTH];
    for (int i = 0; i < 40; i++) {
      for (int j = 0; j < WIDTH; j++) {
        difference[j] += (harmful[i][j] - benign[i][j]) / 40;
      }
    }
    double square = 0;
    for (double x : difference) {
      square += x * x;
    }
    var layer = fit(harmful, benign, 3);
    assertEquals(square, layer.scale(), 1e-12);
    for (int j = 0; j < WIDTH; j++) {
      assertEquals(difference[j] / Math.sqrt(square), layer.basis()[j][0], 1e-10);
    }
  }

  @Test
  void findsThePlantedAxesByTheirSpread() {
    var random = new SplittableRandom(3);
    var harmful = planted(random, 400, 0, 9, 6, 3);
    for (double[] row : harmful) {
      row[0] += 20;
    }
    var basis = fit(harmful, new double[][] {new double[WIDTH]}, 4).basis();
    for (int axis = 0; axis < 4; axis++) {
      assertEquals(1, Math.abs(basis[axis][axis]), 0.05, "axis " + axis);
    }
  }

  @Test
  void tooFewPromptsForTheRankIsAnError() {
    var random = new SplittableRandom(4);
    assertThrows(
        HoldfastException.class, () -> fit(planted(random, 3, 1), planted(random, 3, 1), 4));
  }

  @Test
  void theRandomControlIsOrthonormalAndOfItsSeed() {
    var one = SubspaceFit.random(WIDTH, 5, 7);
    var same = SubspaceFit.random(WIDTH, 5, 7);
    var other = SubspaceFit.random(WIDTH, 5, 8);
    double overlap = 0;
    for (int a = 0; a < 5; a++) {
      double norm = 0;
      for (int j = 0; j < WIDTH; j++) {
        assertEquals(one[j][a], same[j][a]);
        norm += one[j][a] * one[j][a];
        overlap += Math.abs(one[j][a] - other[j][a]);
      }
      assertEquals(1, norm, 1e-12);
    }
    assertEquals(true, overlap > 0.1);
  }
}
