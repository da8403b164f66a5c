package io.holdfast.text.jinja;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** How Python writes values. */
final class Repr {
  private Repr() {}

  /** Python's {@code repr}. */
  static String of(Object value) {
    return switch (value) {
      case null -> "None";
      case Boolean b -> b ? "True" : "False";
      case Double d -> number(d);
      case String s -> quoted(s);
      case Tuple tuple -> "(" + joined(tuple, Repr::of) + (tuple.size() == 1 ? ",)" : ")");
      case List<?> list -> "[" + joined(list, Repr::of) + "]";
      case Map<?, ?> map ->
          "{"
              + joined(
                  map.entrySet(),
                  e ->
                      of(((Map.Entry<?, ?>) e).getKey())
                          + ": "
                          + of(((Map.Entry<?, ?>) e).getValue()))
              + "}";
      case Undefined u -> "Undefined";
      default -> value.toString();
    };
  }

  private static String joined(
      Iterable<?> items, java.util.function.Function<Object, String> text) {
    var parts = new ArrayList<String>();
    items.forEach(item -> parts.add(text.apply(item)));
    return String.join(", ", parts);
  }

  private static String number(double value) {
    if (Double.isNaN(value) || Double.isInfinite(value)) {
      return Double.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
    }
    double size = Math.abs(value);
    var plain = new BigDecimal(Double.toString(value));
    if (size == 0 || size >= 1e-4 && size < 1e16) {
      var text = plain.stripTrailingZeros().toPlainString();
      return (value == 0 && 1 / value < 0 ? "-0" : text) + (text.contains(".") ? "" : ".0");
    }
    var digits = plain.stripTrailingZeros().unscaledValue().abs().toString();
    int exponent = plain.stripTrailingZeros().precision() - plain.stripTrailingZeros().scale() - 1;
    return (value < 0 ? "-" : "")
        + digits.charAt(0)
        + (digits.length() > 1 ? "." + digits.substring(1) : "")
        + "e%s%02d".formatted(exponent < 0 ? "-" : "+", Math.abs(exponent));
  }

  private static String quoted(String text) {
    char quote = text.contains("'") && !text.contains("\"") ? '"' : '\'';
    var quoted = new StringBuilder().append(quote);
    text.codePoints()
        .forEach(
            c -> {
              switch (c) {
                case '\n' -> quoted.append("\\n");
                case '\r' -> quoted.append("\\r");
                case '\t' -> quoted.append("\\t");
                case '\\' -> quoted.append("\\\\");
                default -> {
                  if (c == quote) {
                    quoted.append('\\').append(quote);
                  } else if (c < 32 || c == 127) {
                    quoted.append("\\x%02x".formatted(c));
                  } else {
                    quoted.appendCodePoint(c);
                  }
                }
              }
            });
    return quoted.append(quote).toString();
  }
}
