package io.holdfast.text.jinja;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;

/** Python's operators {@code + - * / // % **}, and Jinja's {@code ~}. */
final class Arithmetic {
  private Arithmetic() {}

  static Object of(String operator, Object a, Object b) {
    if (operator.equals("~")) {
      return Values.text(a) + Values.text(b);
    }
    if (a instanceof Undefined u) {
      throw u.fault();
    }
    if (b instanceof Undefined u) {
      throw u.fault();
    }
    if (operator.equals("+") && a instanceof String x && b instanceof String y) {
      return x + y;
    }
    if (operator.equals("+")
        && a instanceof List<?> x
        && b instanceof List<?> y
        && a instanceof Tuple == b instanceof Tuple) {
      var sum = new ArrayList<Object>(x);
      sum.addAll(y);
      return a instanceof Tuple ? new Tuple(sum) : sum;
    }
    if (operator.equals("*") && (a instanceof String || b instanceof String)) {
      boolean first = a instanceof String;
      return ((String) (first ? a : b)).repeat((int) Math.max(0, Values.integer(first ? b : a)));
    }
    if (operator.equals("%") && a instanceof String format) {
      return Filters.format(format, b instanceof Tuple several ? several : List.of(b));
    }
    if (!Values.isNumber(a) || !Values.isNumber(b)) {
      throw new Fault("%s %s %s is not possible", Values.type(a), operator, Values.type(b));
    }
    return Values.isWhole(a) && Values.isWhole(b) && !operator.equals("/")
        ? whole(operator, Values.integer(a), Values.integer(b))
        : real(operator, Values.asDouble(a), Values.asDouble(b));
  }

  private static Object whole(String operator, long a, long b) {
    try {
      return switch (operator) {
        case "+" -> Math.addExact(a, b);
        case "-" -> Math.subtractExact(a, b);
        case "*" -> Math.multiplyExact(a, b);
        case "//" -> Math.floorDiv(a, b);
        case "%" -> Math.floorMod(a, b);
        default ->
            b < 0
                ? (Object) Math.pow(a, b)
                : (Object) BigInteger.valueOf(a).pow((int) b).longValueExact();
      };
    } catch (ArithmeticException e) {
      throw new Fault("%d %s %d: %s", a, operator, b, e.getMessage());
    }
  }

  private static Object real(String operator, double a, double b) {
    if (b == 0 && (operator.equals("/") || operator.equals("//") || operator.equals("%"))) {
      throw new Fault("division by zero");
    }
    return switch (operator) {
      case "+" -> a + b;
      case "-" -> a - b;
      case "*" -> a * b;
      case "/" -> a / b;
      case "//" -> Math.floor(a / b);
      case "%" -> a - b * Math.floor(a / b);
      default -> Math.pow(a, b);
    };
  }
}
