package io.holdfast.risk;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.data.Example;
import io.holdfast.data.Place;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class RowRisksTest {
  private static Example row(double risk) {
    return new Example(
        "row", new int[2], new boolean[2], -1, -1, (float) risk, new Place(Path.of("rows"), 1));
  }

  private static List<Double> step(RowRisks risks, double... given) {
    var window = List.of(Arrays.stream(given).mapToObj(RowRisksTest::row).toList());
    var seen =
        risks.assess(window).getFirst().stream().map(example -> (double) example.risk()).toList();
    risks.endStep();
    return seen;
  }

  @Test
  void withoutSmoothingRisksAreAsTheyCame() {
    var risks = new RowRisks(0);
    for (double given : new double[] {0.25, 1, 0}) {
      assertEquals(List.of(given), step(risks, given));
    }
  }

  /** One row a step: the exponential moving average, by its own recursion. */
  @Test
  void oneRowAStepIsTheExponentialMovingAverage() {
    var risks = new RowRisks(0.8);
    var random = new SplittableRandom(1);
    double average = Double.NaN;
    for (int i = 0; i < 20; i++) {
      double given = random.nextInt(0, 9) / 8.0;
      average = Double.isNaN(average) ? given : 0.8 * average + 0.2 * given;
      assertEquals(average, step(risks, given).getFirst(), 1e-6);
      assertEquals(average, risks.average(), 1e-9);
    }
  }

  /** Several: their mean is the average of the means, and what parts them shrinks alike. */
  @Test
  void rowsOfAStepKeepTheirDifferences() {
    var risks = new RowRisks(0.5);
    assertEquals(List.of(0.0, 1.0), step(risks, 0, 1));
    var second = step(risks, 1, 0.5);
    assertEquals((0.5 * 0.5 + 0.5 * 0.75), (second.get(0) + second.get(1)) / 2, 1e-6);
    assertEquals(0.25, second.get(0) - second.get(1), 1e-6);
  }

  @Test
  void aResumedAverageGoesOn() {
    var whole = new RowRisks(0.9);
    step(whole, 1, 0.5);
    step(whole, 0);
    var resumed = new RowRisks(0.9);
    resumed.resume(whole.average());
    assertEquals(step(whole, 0.5), step(resumed, 0.5));
  }

  @Test
  void rowsWithoutARiskStayWithoutOne() {
    var risks = new RowRisks(0.9);
    assertTrue(step(risks, Double.NaN).getFirst().isNaN());
    assertTrue(Double.isNaN(risks.average()));
  }

  @Test
  void shuffledRisksAreTheSameInAnotherOrder() {
    var random = new SplittableRandom(3);
    var risks = new float[50];
    for (int i = 0; i < risks.length; i++) {
      risks[i] = i / 50f;
    }
    float[] shuffled = RowRisks.shuffled(risks, random.nextLong());
    assertFalse(Arrays.equals(risks, shuffled));
    float[] sorted = shuffled.clone();
    Arrays.sort(sorted);
    assertArrayEquals(risks, sorted);
    assertArrayEquals(RowRisks.shuffled(risks, 5), RowRisks.shuffled(risks, 5));
  }

  @Test
  void everyRowHasItsOwn() {
    var rows = new ArrayList<Example>();
    for (int i = 0; i < 3; i++) {
      rows.add(row(Double.NaN));
    }
    var risky = RowRisks.with(rows, new float[] {0, 0.5f, 1});
    assertEquals(List.of(0f, 0.5f, 1f), risky.stream().map(Example::risk).toList());
    assertThrows(IllegalArgumentException.class, () -> RowRisks.with(rows, new float[2]));
  }
}
