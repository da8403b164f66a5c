package io.holdfast.guard;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;

/** The geometry term by itself, in float64. */
class CosineGramTest {
  private static double[][] rows(int n, int k, long seed) {
    var random = new SplittableRandom(seed);
    return Stream.generate(() -> random.doubles(k).map(u -> 4 * u - 1.5).toArray())
        .limit(n)
        .toArray(double[][]::new);
  }

  @Test
  void isZeroWhereNothingTurns() {
    var reference = rows(5, 3, 1);
    var scaled = rows(5, 3, 1);
    for (int i = 0; i < 5; i++) {
      for (int c = 0; c < 3; c++) {
        scaled[i][c] *= i + 0.5;
      }
    }
    assertEquals(0, new CosineGram(reference).distance(scaled), 1e-15);
  }

  /** Two prompts that pointed apart and now point the same way: G is all ones, G_ref is I. */
  @Test
  void isTheRelativeChangeOfTheGram() {
    var gram = new CosineGram(new double[][] {{1, 0}, {0, 2}});
    assertEquals(1, gram.distance(new double[][] {{3, 3}, {1, 1}}), 1e-15);
  }

  @Test
  void gradientIsTheSlope() {
    var gram = new CosineGram(rows(6, 4, 2));
    var at = rows(6, 4, 3);
    var gradient = gram.gradient(at);
    for (int i = 0; i < 6; i++) {
      for (int c = 0; c < 4; c++) {
        double x = at[i][c];
        at[i][c] = x + 1e-5;
        double above = gram.distance(at);
        at[i][c] = x - 1e-5;
        double below = gram.distance(at);
        at[i][c] = x;
        assertEquals((above - below) / 2e-5, gradient[i][c], 1e-8);
      }
    }
  }

  @Test
  void gradientIsAutograds() {
    var reference = rows(7, 5, 4);
    var at = rows(7, 5, 5);
    try (var scope = Scope.open()) {
      var s = Tensors.of(at).requires_grad_(true);
      var target = gram(Tensors.of(reference)).detach();
      gram(s).sub(target).square().sum().div(target.square().sum()).backward();
      double[] expected = Tensors.doubles(s.grad());
      double[] found =
          Stream.of(new CosineGram(reference).gradient(at))
              .flatMapToDouble(java.util.Arrays::stream)
              .toArray();
      assertArrayEquals(expected, found, 1e-12);
    }
  }

  private static Tensor gram(Tensor rows) {
    var unit =
        rows.div(
            rows.square()
                .sum(new long[] {1}, true, new org.bytedeco.pytorch.ScalarTypeOptional())
                .sqrt());
    return unit.mm(unit.t());
  }
}
