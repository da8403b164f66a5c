package io.holdfast.geometry;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** On random geometry every measure sits at chance, and no measure notices a change of axes. */
class ChanceTest {
  @ParameterizedTest
  @CsvSource({"16, 1", "64, 3", "128, 8"})
  void randomSubspacesCoupleAtTheClosedForms(int d, int k) {
    int trials = 4000;
    double cosine = 0;
    double overlap = 0;
    double square = 0;
    for (int i = 0; i < trials; i++) {
      var u = Basis.random(d, k, 2L * i);
      var v = Basis.random(d, k, 2L * i + 1);
      double c = Math.abs(new Carrier(u.vectors()[0]).cosine(new Carrier(v.vectors()[0])));
      cosine += c / trials;
      square += c * c / trials;
      overlap += PrincipalAngles.between(u, v).overlap() / trials;
    }
    // Five standard errors of the mean.
    double error = 5 * Math.sqrt((square - cosine * cosine) / trials);
    assertEquals(Coupling.chanceCosine(d), cosine, error);
    assertEquals(Coupling.chanceOverlap(d, k), overlap, 5 * overlap / Math.sqrt(trials));
  }

  @Test
  void theClosedFormOfTheCosine() {
    // In the plane E|cos| = 2/pi, in space 1/2; far up it is sqrt(2 / (pi d)).
    assertEquals(2 / Math.PI, Coupling.chanceCosine(2), 1e-12);
    assertEquals(0.5, Coupling.chanceCosine(3), 1e-12);
    assertEquals(1, Coupling.chanceCosine(4096) / Math.sqrt(2 / (Math.PI * 4096)), 1e-3);
  }

  @Test
  void alignmentOfRotatedScaledAndUnrelatedRepresentations() {
    for (int d : new int[] {12, 80}) {
      var x = Planted.noise(40, d, 1, 1);
      var same = Planted.moved(Planted.rotated(x, 2), Planted.axis(d, 0, 9));
      assertEquals(1, Similarity.cka(x, same), 1e-9);
      assertEquals(1, Similarity.unbiasedCka(x, same), 1e-9);
      assertEquals(0, Similarity.procrustes(x, same), 1e-9);
    }
    double mean = 0;
    for (int i = 0; i < 60; i++) {
      mean +=
          Similarity.unbiasedCka(
                  Planted.noise(30, 50, 1, 100 + i), Planted.noise(30, 50, 1, 900 + i))
              / 60;
    }
    assertEquals(0, mean, 0.03, "unbiased alignment of unrelated representations");
    assertTrue(
        Similarity.cka(Planted.noise(30, 50, 1, 3), Planted.noise(30, 50, 1, 4)) > 0.4,
        "the biased one is far from 0 there, which is why there are two");
    assertThrows(
        IllegalArgumentException.class,
        () -> Similarity.cka(Planted.noise(4, 3, 1, 1), Planted.noise(5, 3, 1, 1)));
  }

  @Test
  void alignmentEqualsItsDefinitionByFeatures() {
    var x = Vectors.centred(Planted.noise(20, 6, 1, 11));
    var y = Vectors.centred(Planted.noise(20, 4, 2, 12));
    double xy = frobenius(Vectors.products(columns(y), columns(x)));
    double xx = frobenius(Vectors.products(columns(x), columns(x)));
    double yy = frobenius(Vectors.products(columns(y), columns(y)));
    assertEquals(xy * xy / (xx * yy), Similarity.cka(x, y), 1e-12);
  }

  @Test
  void procrustesOfAKnownStretch() {
    // One axis of two doubled: the nuclear norm of X^T Y is in closed form.
    var x = new double[][] {{1, 0}, {-1, 0}, {0, 1}, {0, -1}};
    var y = new double[][] {{2, 0}, {-2, 0}, {0, 1}, {0, -1}};
    assertEquals(2 - 2 * (4 + 2) / Math.sqrt(4.0 * 10), Similarity.procrustes(x, y), 1e-12);
  }

  @Test
  void theBootstrapCoversAsOftenAsItSays() {
    int covered = 0;
    for (int trial = 0; trial < 200; trial++) {
      var sample = Planted.noise(40, 1, 1, trial);
      var mean =
          Estimate.bootstrap(
              40,
              indices -> IntStream.of(indices).mapToDouble(i -> sample[i][0]).average().orElse(0),
              200,
              0.95,
              trial);
      covered += mean.low() <= 0 && 0 <= mean.high() ? 1 : 0;
    }
    assertTrue(covered >= 176 && covered <= 199, "covered " + covered + " of 200");
  }

  @Test
  void aPermutationTellsSignalFromNone() {
    var values = IntStream.range(0, 30).mapToDouble(i -> i < 15 ? i % 5 : 4 + i % 5).toArray();
    java.util.function.ToDoubleFunction<int[]> gap =
        order ->
            IntStream.range(0, 15).mapToDouble(i -> values[order[i + 15]] - values[order[i]]).sum();
    assertEquals(1.0 / 1000, Estimate.permutationP(30, gap, 999, 1), 1e-12);
    assertTrue(Estimate.permutationP(30, order -> -Math.abs(order[0]), 999, 1) > 0.01);
  }

  @Test
  void spearmanOfAMonotoneRelationIsOne() {
    double[] x = IntStream.range(0, 20).mapToDouble(i -> i).toArray();
    double[] y = IntStream.range(0, 20).mapToDouble(i -> Math.exp(i)).toArray();
    var found = Estimate.spearman(x, y, 200, 1);
    assertEquals(1, found.value(), 1e-12);
    assertEquals(1, found.low(), 1e-12);
    assertThrows(
        IllegalArgumentException.class,
        () -> Estimate.spearman(new double[2], new double[2], 10, 1));
  }

  private static double[][] columns(double[][] rows) {
    var columns = new double[rows[0].length][rows.length];
    for (int i = 0; i < rows.length; i++) {
      for (int j = 0; j < rows[0].length; j++) {
        columns[j][i] = rows[i][j];
      }
    }
    return columns;
  }

  private static double frobenius(double[][] m) {
    double sum = 0;
    for (double[] row : m) {
      sum += Vectors.dot(row, row);
    }
    return Math.sqrt(sum);
  }
}
