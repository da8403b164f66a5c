package io.holdfast.text.jinja;

import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Jinja's tests: what stands after {@code is}. */
final class Tests {
  private Tests() {}

  static boolean pass(String name, Object value, List<Object> arguments) {
    return switch (name) {
      case "defined" -> !(value instanceof Undefined);
      case "undefined" -> value instanceof Undefined;
      case "none" -> value == null;
      case "string" -> value instanceof String;
      case "mapping" -> value instanceof Map<?, ?>;
      case "iterable" ->
          value instanceof String
              || value instanceof List<?>
              || value instanceof Map<?, ?>
              || value instanceof Undefined;
      case "sequence" ->
          value instanceof String
              || value instanceof List<?>
              || value instanceof Map<?, ?>
              || value instanceof Undefined;
      case "number" -> Values.isNumber(value);
      case "integer" -> value instanceof Long;
      case "float" -> value instanceof Double;
      case "boolean" -> value instanceof Boolean;
      case "true" -> Boolean.TRUE.equals(value);
      case "false" -> Boolean.FALSE.equals(value);
      case "callable" -> value instanceof Function;
      case "even" -> Values.integer(value) % 2 == 0;
      case "odd" -> Values.integer(value) % 2 != 0;
      case "divisibleby" -> Values.integer(value) % Values.integer(arguments.getFirst()) == 0;
      case "lower" -> Values.text(value).equals(Values.text(value).toLowerCase(Locale.ROOT));
      case "upper" -> Values.text(value).equals(Values.text(value).toUpperCase(Locale.ROOT));
      case "eq", "equalto", "==" -> Values.equal(value, arguments.getFirst());
      case "ne", "!=" -> !Values.equal(value, arguments.getFirst());
      case "lt", "lessthan", "<" -> Values.compare(value, arguments.getFirst()) < 0;
      case "le", "<=" -> Values.compare(value, arguments.getFirst()) <= 0;
      case "gt", "greaterthan", ">" -> Values.compare(value, arguments.getFirst()) > 0;
      case "ge", ">=" -> Values.compare(value, arguments.getFirst()) >= 0;
      case "in" -> Values.contains(arguments.getFirst(), value);
      case "sameas" -> same(value, arguments.getFirst());
      default -> throw new Fault("the test '%s' is not known", name);
    };
  }

  /** Python's {@code is}: none and booleans are one of a kind. */
  private static boolean same(Object a, Object b) {
    return a == b || a instanceof Boolean && a.equals(b);
  }
}
