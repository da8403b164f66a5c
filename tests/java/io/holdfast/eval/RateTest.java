package io.holdfast.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RateTest {
  private static final double Z = 1.959963984540054;

  /** From Newcombe 1998, Statistics in Medicine 17, table I, method 3. */
  @ParameterizedTest
  @CsvSource({
    "81, 263, 0.2553, 0.3662",
    "15, 148, 0.0624, 0.1605",
    "0, 20, 0.0000, 0.1611",
    "1, 29, 0.0061, 0.1718"
  })
  void agreesWithPublishedIntervals(int successes, int n, double low, double high) {
    var rate = Rate.of(successes, n);
    assertEquals(low, rate.low(), 5e-5);
    assertEquals(high, rate.high(), 5e-5);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 7, 60, 180, 10_000})
  void endsSolveTheScoreEquation(int n) {
    for (int successes = 0; successes <= n; successes += Math.max(1, n / 13)) {
      var rate = Rate.of(successes, n);
      for (double end : List.of(rate.low(), rate.high())) {
        // (value - p)^2 = z^2 p (1 - p) / n
        double score = Math.pow(rate.value() - end, 2) - Z * Z * end * (1 - end) / n;
        assertEquals(0, score, 1e-9);
      }
      assertTrue(0 <= rate.low() && rate.low() <= rate.value());
      assertTrue(rate.value() <= rate.high() && rate.high() <= 1);
    }
  }

  @Test
  void successesAndFailuresMirror() {
    for (int successes = 0; successes <= 37; successes++) {
      var one = Rate.of(successes, 37);
      var other = Rate.of(37 - successes, 37);
      assertEquals(one.low(), 1 - other.high(), 1e-12);
    }
  }

  @Test
  void noTrialsHaveNoRate() {
    assertThrows(IllegalArgumentException.class, () -> Rate.of(0, 0));
    assertThrows(IllegalArgumentException.class, () -> Rate.of(3, 2));
    assertThrows(IllegalArgumentException.class, () -> Rate.of(-1, 2));
  }

  @Test
  void talliesAddUp() {
    var tally =
        Tally.of(List.of(Outcome.COMPLY, Outcome.OTHER, Outcome.REFUSE, Outcome.REFUSE))
            .plus(new Tally(1, 0, 0));
    assertEquals(new Tally(2, 2, 1), tally);
    assertEquals(.4, tally.rate(Outcome.COMPLY).value());
    assertEquals("40.0 [11.8, 76.9]", tally.rate(Outcome.COMPLY).toString());
  }
}
