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
        new double[][][] {harmful}, new double[][][] {benign}, SubspaceFit.Settings.standard(rank));
  }

  @Test
  void columnsAreOrthonormal() {
    var random = new SplittableRandom(1);
    var basis = fit(planted(random, 50, 3, 2, 1, 1), planted(random, 50, 1), 6).basis().vectors();
    for (int a = 0; a < 6; a++) {
      for (int b = 0; b < 6; b++) {
        double dot = 0;
        for (int j = 0; j < WIDTH; j++) {
          dot += basis[a][j] * basis[b][j];
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
      assertEquals(difference[j] / Math.sqrt(square), layer.basis().vectors()[0][j], 1e-10);
    }
  }

  @Test
  void findsThePlantedAxesByTheirSpread() {
    var random = new SplittableRandom(3);
    var harmful = planted(random, 400, 0, 9, 6, 3);
    for (double[] row : harmful) {
      row[0] += 20;
    }
    var basis = fit(harmful, new double[][] {new double[WIDTH]}, 4).basis().vectors();
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
  void theRankIsTheLeastThatHoldsTheEnergy() {
    var random = new SplittableRandom(5);
    var harmful = planted(random, 300, 0, 9, 6, 3);
    var benign = new double[][] {new double[WIDTH]};
    for (double share : new double[] {0.5, 0.8, 0.99}) {
      var layer =
          SubspaceFit.fit(
              new double[][][] {harmful},
              new double[][][] {benign},
              new SubspaceFit.Settings(
                  SubspaceFit.Settings.standard(1).readings(), SubspaceFit.Method.SVD, 12, share));
      int rank = layer.rankFor(share);
      assertEquals(true, layer.first(rank).energy() >= share);
      assertEquals(true, layer.first(rank - 1).energy() < share);
      assertEquals(layer.first(rank).basis().share(harmful), layer.first(rank).energy(), 1e-10);
    }
  }

  /** One far prompt turns singular vectors, but no more than its share turns a cone. */
  @Test
  void theConeCountsDirectionsAndNotHowFarTheyGo() {
    var random = new SplittableRandom(6);
    var harmful = planted(random, 60, 0, 0, 1, 0);
    for (double[] row : harmful) {
      row[0] += 3;
    }
    harmful[0][3] = 500;
    var benign = new double[][] {new double[WIDTH]};
    var readings = SubspaceFit.Settings.standard(1).readings();
    for (var method : List.of(SubspaceFit.Method.SVD, SubspaceFit.Method.CONE)) {
      // The mean of harmful prompts leans to the far one: take it away from both.
      harmful[1][3] = -500;
      var second =
          SubspaceFit.fit(
                  new double[][][] {harmful},
                  new double[][][] {benign},
                  new SubspaceFit.Settings(readings, method, 2, 1))
              .basis()
              .vectors()[1];
      assertEquals(method == SubspaceFit.Method.SVD ? 1 : 0, Math.abs(second[3]), 0.1);
    }
  }

  @Test
  void theMeanMethodHasOneDirectionAReading() {
    var random = new SplittableRandom(7);
    var layer =
        SubspaceFit.fit(
            new double[][][] {planted(random, 9, 1), planted(random, 9, 0, 4)},
            new double[][][] {planted(random, 9, 1), planted(random, 9, 1)},
            new SubspaceFit.Settings(
                SubspaceFit.Settings.standard(1).readings(), SubspaceFit.Method.MEAN, 16, 1));
    assertEquals(2, layer.basis().rank());
  }
}
