package io.holdfast.text.jinja;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/**
 * The filter {@code tojson} as {@code transformers} defines it: Python's {@code json.dumps},
 * without escapes for characters beyond ASCII.
 */
final class Json {
  private final boolean ascii;
  private final String indent;
  private final String itemSeparator;
  private final String keySeparator;
  private final boolean sorted;

  private Json(List<Object> p, Map<String, Object> n) {
    this.ascii = Values.truth(Methods.argument(p, 0, n.get("ensure_ascii")));
    var width = Methods.argument(p, 1, n.get("indent"));
    this.indent =
        width == null
            ? null
            : width instanceof String s ? s : " ".repeat((int) Values.integer(width));
    var separators = Methods.argument(p, 2, n.get("separators"));
    this.itemSeparator =
        separators == null
            ? (indent == null ? ", " : ",")
            : Values.text(Values.item(separators, 0L));
    this.keySeparator = separators == null ? ": " : Values.text(Values.item(separators, 1L));
    this.sorted = Values.truth(Methods.argument(p, 3, n.get("sort_keys")));
  }

  static String write(Object value, List<Object> positional, Map<String, Object> named) {
    return new Json(positional, named).write(value, 0);
  }

  private String write(Object value, int depth) {
    return switch (value) {
      case null -> "null";
      case Boolean b -> b.toString();
      case Double d -> number(d);
      case String text -> quoted(text);
      case List<?> list -> {
        var items = new ArrayList<String>();
        list.forEach(item -> items.add(write(item, depth + 1)));
        yield wrapped("[", items, "]", depth);
      }
      case Map<?, ?> map -> {
        var keys = new ArrayList<Object>(map.keySet());
        if (sorted) {
          keys.sort(Comparator.comparing(Values::text));
        }
        var fields = new ArrayList<String>();
        keys.forEach(
            key -> fields.add(quoted(key(key)) + keySeparator + write(map.get(key), depth + 1)));
        yield wrapped("{", fields, "}", depth);
      }
      case Undefined u -> throw new Fault("tojson: %s is undefined", u.what());
      case Function f -> throw new Fault("tojson: a function cannot be written");
      default -> value.toString();
    };
  }

  private String key(Object key) {
    return key instanceof String text ? text : write(key, 0);
  }

  private static String number(double value) {
    return Double.isNaN(value)
        ? "NaN"
        : Double.isInfinite(value) ? (value > 0 ? "Infinity" : "-Infinity") : Repr.of(value);
  }

  private String wrapped(String open, List<String> parts, String close, int depth) {
    if (parts.isEmpty() || indent == null) {
      return open + String.join(itemSeparator, parts) + close;
    }
    var inner = "\n" + indent.repeat(depth + 1);
    return open
        + inner
        + String.join(itemSeparator + inner, parts)
        + "\n"
        + indent.repeat(depth)
        + close;
  }

  private String quoted(String text) {
    var json = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      switch (c) {
        case '"' -> json.append("\\\"");
        case '\\' -> json.append("\\\\");
        case '\n' -> json.append("\\n");
        case '\r' -> json.append("\\r");
        case '\t' -> json.append("\\t");
        case '\b' -> json.append("\\b");
        case '\f' -> json.append("\\f");
        default ->
            json.append(
                c < 32 || ascii && c > 126 ? "\\u%04x".formatted((int) c) : Character.toString(c));
      }
    }
    return json.append('"').toString();
  }
}
