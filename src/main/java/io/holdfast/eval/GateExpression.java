package io.holdfast.eval;

import io.holdfast.HoldfastException;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/**
 * A condition on a report's metrics that fails a run, for instance {@code asr>0.05} or {@code
 * task_accuracy_low < 0.8}.
 *
 * @param metric the name in the report
 * @param comparison how the metric is compared
 * @param bound the number it is compared with
 */
public record GateExpression(String metric, Comparison comparison, double bound) {
  private static final Pattern SYNTAX =
      Pattern.compile("\\s*([A-Za-z][\\w./-]*)\\s*(<=|>=|<|>)\\s*(\\S+)\\s*");

  /** The comparisons a gate knows. */
  public enum Comparison {
    LESS("<"),
    AT_MOST("<="),
    MORE(">"),
    AT_LEAST(">=");

    private final String symbol;

    Comparison(String symbol) {
      this.symbol = symbol;
    }

    private static Comparison of(String symbol) {
      for (var comparison : values()) {
        if (comparison.symbol.equals(symbol)) {
          return comparison;
        }
      }
      throw new IllegalStateException(symbol);
    }

    boolean holds(double value, double bound) {
      return switch (this) {
        case LESS -> value < bound;
        case AT_MOST -> value <= bound;
        case MORE -> value > bound;
        case AT_LEAST -> value >= bound;
      };
    }
  }

  /** Reads an expression of the form {@code METRIC OPERATOR NUMBER}. */
  public static GateExpression parse(String text) {
    var match = SYNTAX.matcher(text);
    if (!match.matches()) {
      throw HoldfastException.usage(
          "gate '%s' is not of the form METRIC OPERATOR NUMBER with one of < <= > >=;"
              + " for instance 'asr>0.05'",
          text);
    }
    return new GateExpression(match.group(1), Comparison.of(match.group(2)), number(match, text));
  }

  private static double number(MatchResult match, String text) {
    try {
      double bound = Double.parseDouble(match.group(3));
      if (Double.isFinite(bound)) {
        return bound;
      }
    } catch (NumberFormatException e) {
      // answered below, as for a bound that is not finite
    }
    throw HoldfastException.usage(
        "gate '%s': '%s' is not a number; write a share such as 0.05", text, match.group(3));
  }

  /** Refuses a gate on a metric that a report will not have. */
  public void requireIn(Set<String> metrics) {
    if (!metrics.contains(metric)) {
      throw HoldfastException.usage(
          "gate '%s': the report has no metric '%s'; it has %s",
          this, metric, String.join(", ", new TreeSet<>(metrics)));
    }
  }

  /**
   * Whether the condition holds, that is, whether the run fails. A metric that is not a number
   * fails it too.
   */
  public boolean fails(Map<String, Double> metrics) {
    requireIn(metrics.keySet());
    var value = metrics.get(metric);
    return value.isNaN() || comparison.holds(value, bound);
  }

  /**
   * Passes, or ends the command.
   *
   * @param gates conditions on the metrics
   * @param written what there is all the same, for the end of the message
   * @throws HoldfastException with exit code 6 that names every gate that is missed, and by what
   */
  public static void requirePassed(
      List<GateExpression> gates, Map<String, Double> metrics, String written) {
    var missed =
        gates.stream()
            .filter(gate -> gate.fails(metrics))
            .map(gate -> "gate %s: it is %s".formatted(gate, metrics.get(gate.metric())))
            .toList();
    if (!missed.isEmpty()) {
      throw HoldfastException.gate("%s; %s", String.join("; ", missed), written);
    }
  }

  @Override
  public String toString() {
    return metric + comparison.symbol + bound;
  }
}
