package io.holdfast.eval;

import java.util.Locale;
import java.util.Map;
import org.apache.commons.math3.stat.interval.WilsonScoreInterval;

/**
 * A share of trials with its 95 % Wilson score interval (Wilson 1927), which stays inside [0, 1]
 * and keeps its width at 0 and n successes.
 *
 * @param successes trials that counted
 * @param n all trials, at least one
 * @param low lower end of the interval
 * @param high upper end of the interval
 */
public record Rate(int successes, int n, double low, double high) {
  private static final double CONFIDENCE = 0.95;

  /** The rate with its interval. */
  public static Rate of(int successes, int n) {
    if (n < 1 || successes < 0 || successes > n) {
      throw new IllegalArgumentException("%d successes of %d trials".formatted(successes, n));
    }
    var interval = new WilsonScoreInterval().createInterval(n, successes, CONFIDENCE);
    // The ends at 0 and n successes are exactly 0 and 1; rounding puts them an ulp beside.
    double low = successes == 0 ? 0 : interval.getLowerBound();
    double high = successes == n ? 1 : interval.getUpperBound();
    return new Rate(successes, n, low, high);
  }

  /** The share itself. */
  public double value() {
    return (double) successes / n;
  }

  /** Adds {@code name}, {@code name_low} and {@code name_high} to a report's fields. */
  void putInto(Map<String, ? super Double> fields, String name) {
    fields.put(name, value());
    fields.put(name + "_low", low);
    fields.put(name + "_high", high);
  }

  /** In percent with the interval, for instance {@code 6.7 [3.2, 13.1]}. */
  @Override
  public String toString() {
    return String.format(Locale.ROOT, "%.1f [%.1f, %.1f]", 100 * value(), 100 * low, 100 * high);
  }
}
