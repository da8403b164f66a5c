package io.holdfast.risk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class DiscriminationTest {
  private static double[] values(SplittableRandom random, int n, double shift, int grid) {
    return random
        .doubles(n)
        .map(v -> Math.clamp(Math.round((v + shift) * grid) / (double) grid, 0, 1))
        .toArray();
  }

  /** By definition: over all pairs, a win counts one and a tie a half. */
  @Test
  void theAreaIsTheShareOfPairsInOrder() {
    var random = new SplittableRandom(1);
    for (int grid : new int[] {4, 50, 100_000}) {
      double[] some = values(random, 37, 0.2, grid);
      double[] others = values(random, 53, 0, grid);
      double wins = 0;
      for (double a : some) {
        for (double b : others) {
          wins += a > b ? 1 : a == b ? 0.5 : 0;
        }
      }
      assertEquals(wins / (37 * 53), Discrimination.auroc(some, others), 1e-12);
    }
    assertTrue(Double.isNaN(Discrimination.auroc(new double[0], new double[] {0.5})));
  }

  @Test
  void theErrorOfATableByHand() {
    // Bins of a half: {0.1 no, 0.3 yes}: |0.2 - 0.5| = 0.3; {0.5 yes, 0.8 yes, 1 no}: |2.3/3 -
    // 2/3|.
    double[] some = {0.3, 0.5, 0.8};
    double[] others = {0.1, 1};
    var table = Discrimination.reliability(some, others, 2);
    assertEquals(2, table.get(0).count());
    assertEquals(3, table.get(1).count());
    assertEquals(0.2, table.get(0).predicted(), 1e-12);
    assertEquals(2 / 3.0, table.get(1).observed(), 1e-12);
    double expected = (2 * 0.3 + 3 * (2.3 / 3 - 2 / 3.0)) / 5;
    assertEquals(expected, Discrimination.calibrationError(some, others, 2), 1e-12);
  }

  @Test
  void probabilitiesThatAreTrueHaveNoError() {
    double[] some = {0.25, 0.75, 0.75, 0.75};
    double[] others = {0.25, 0.25, 0.25, 0.75};
    assertEquals(0, Discrimination.calibrationError(some, others, 10), 1e-12);
  }

  @Test
  void theThresholdIsTheGreatestWithTheRecall() {
    double[] some = {0.9, 0.2, 0.6, 0.4};
    assertEquals(0.2, Discrimination.threshold(some, 1));
    assertEquals(0.4, Discrimination.threshold(some, 0.75));
    assertEquals(0.4, Discrimination.threshold(some, 0.51));
    assertEquals(0.9, Discrimination.threshold(some, 0.01));
    assertEquals(0.75, Discrimination.share(some, 0.4));
  }
}
