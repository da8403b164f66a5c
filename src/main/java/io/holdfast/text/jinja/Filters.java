package io.holdfast.text.jinja;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Jinja's filters, as far as chat templates use them. */
final class Filters {
  private Filters() {}

  static Object apply(String name, Object value, List<Object> p, Map<String, Object> n) {
    return switch (name) {
      case "trim" ->
          given(p, n, 0, "chars") == null
              ? Methods.strip(Values.text(value))
              : method(Values.text(value), "strip", List.of(given(p, n, 0, "chars")));
      case "upper" -> Values.text(value).toUpperCase(Locale.ROOT);
      case "lower" -> Values.text(value).toLowerCase(Locale.ROOT);
      case "title" -> Methods.titled(Values.text(value));
      case "capitalize" -> Methods.capitalized(Values.text(value));
      case "replace" -> method(Values.text(value), "replace", p);
      case "string" -> Values.text(value);
      case "safe" -> value;
      case "e", "escape" -> escaped(Values.text(value));
      case "length", "count" -> Values.length(value);
      case "wordcount" -> (long) Methods.split(Values.text(value), null, -1).size();
      case "indent" -> indented(Values.text(value), p, n);
      case "format" -> format(Values.string(value), p);
      case "default", "d" -> {
        boolean anyFalse = Values.truth(given(p, n, 1, "boolean"));
        boolean missing = value instanceof Undefined || anyFalse && !Values.truth(value);
        yield missing ? (p.isEmpty() ? n.getOrDefault("default_value", "") : p.getFirst()) : value;
      }
      case "list" -> Values.iterable(value);
      case "first" -> ends(Values.iterable(value), true);
      case "last" -> ends(Values.iterable(value), false);
      case "reverse" -> reversed(value);
      case "join" -> joined(value, p, n);
      case "items" -> value instanceof Map<?, ?> map ? Methods.items(map) : List.of();
      case "dictsort" -> dictSorted(value);
      case "sort" -> sorted(value, p, n);
      case "unique" -> unique(Values.iterable(value));
      case "min", "max" -> {
        var items = Values.iterable(value);
        yield items.isEmpty()
            ? new Undefined("the " + name + " of nothing")
            : name.equals("min")
                ? Collections.min(items, Values::compare)
                : Collections.max(items, Values::compare);
      }
      case "sum" -> {
        Object sum = 0L;
        for (var item : mapped(value, n.get("attribute"))) {
          sum = Arithmetic.of("+", sum, item);
        }
        yield sum;
      }
      case "map" -> map(value, p, n);
      case "select", "reject" -> {
        var kept = new ArrayList<Object>();
        for (var item : Values.iterable(value)) {
          boolean passed =
              p.isEmpty()
                  ? Values.truth(item)
                  : Tests.pass(Values.string(p.getFirst()), item, p.subList(1, p.size()));
          if (passed == name.equals("select")) {
            kept.add(item);
          }
        }
        yield kept;
      }
      case "selectattr", "rejectattr" -> {
        var kept = new ArrayList<Object>();
        for (var item : Values.iterable(value)) {
          var field = path(item, Values.string(p.getFirst()));
          boolean passed =
              p.size() == 1
                  ? Values.truth(field)
                  : Tests.pass(Values.string(p.get(1)), field, p.subList(2, p.size()));
          if (passed == name.equals("selectattr")) {
            kept.add(item);
          }
        }
        yield kept;
      }
      case "attr" -> Values.item(value, p.getFirst());
      case "int" -> whole(value, argument(p, 0, 0L));
      case "float" -> real(value, argument(p, 0, 0.0));
      case "abs" ->
          value instanceof Double d ? (Object) Math.abs(d) : Math.abs(Values.integer(value));
      case "round" -> rounded(value, p, n);
      case "tojson" -> Json.write(value, p, n);
      default -> throw new Fault("the filter '%s' is not known", name);
    };
  }

  private static Object method(String text, String name, List<Object> arguments) {
    return Methods.of(text, name).call(arguments, Map.of());
  }

  private static Object argument(List<Object> positional, int index, Object otherwise) {
    return Methods.argument(positional, index, otherwise);
  }

  private static Object given(List<Object> p, Map<String, Object> n, int index, String name) {
    return argument(p, index, n.get(name));
  }

  private static String escaped(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("'", "&#39;")
        .replace("\"", "&#34;");
  }

  private static String indented(String text, List<Object> p, Map<String, Object> n) {
    var width = given(p, n, 0, "width");
    var by =
        width instanceof String s
            ? s
            : " ".repeat((int) (width == null ? 4 : Values.integer(width)));
    boolean first = Values.truth(given(p, n, 1, "first"));
    boolean blank = Values.truth(given(p, n, 2, "blank"));
    var lines = text.split("\n", -1);
    for (int i = 0; i < lines.length; i++) {
      if (i == 0 ? first : blank || !lines[i].isEmpty()) {
        lines[i] = by + lines[i];
      }
    }
    return String.join("\n", lines);
  }

  /** Python's {@code %} for text and numbers. */
  static String format(String format, List<?> values) {
    var text = new StringBuilder();
    int next = 0;
    for (int i = 0; i < format.length(); i++) {
      char c = format.charAt(i);
      if (c != '%') {
        text.append(c);
        continue;
      }
      char kind = ++i < format.length() ? format.charAt(i) : ' ';
      if (kind == '%') {
        text.append('%');
      } else if (next < values.size() && (kind == 's' || kind == 'd')) {
        var value = values.get(next++);
        text.append(kind == 's' ? Values.text(value) : Long.toString(Values.integer(value)));
      } else {
        throw new Fault("format: %%%c is not known or has no value", kind);
      }
    }
    return text.toString();
  }

  private static Object ends(List<Object> items, boolean first) {
    return items.isEmpty()
        ? new Undefined("an item of nothing")
        : first ? items.getFirst() : items.getLast();
  }

  private static Object reversed(Object value) {
    return value instanceof String
        ? Values.slice(value, null, null, -1L)
        : Values.iterable(value).reversed();
  }

  private static String joined(Object value, List<Object> p, Map<String, Object> n) {
    var separator = given(p, n, 0, "d");
    var items = mapped(value, given(p, n, 1, "attribute"));
    return String.join(
        separator == null ? "" : Values.text(separator), items.stream().map(Values::text).toList());
  }

  private static List<Object> dictSorted(Object value) {
    if (!(value instanceof Map<?, ?> map)) {
      throw new Fault("dictsort sorts a mapping, not %s", Values.type(value));
    }
    var items = Methods.items(map);
    items.sort(Comparator.comparing(item -> folded(((Tuple) item).get(0)), Values::compare));
    return items;
  }

  private static List<Object> sorted(Object value, List<Object> p, Map<String, Object> n) {
    var attribute = given(p, n, 2, "attribute");
    boolean exact = Values.truth(given(p, n, 1, "case_sensitive"));
    Comparator<Object> order =
        Comparator.comparing(
            item -> {
              var key = attribute == null ? item : path(item, Values.text(attribute));
              return exact ? key : folded(key);
            },
            Values::compare);
    var items = new ArrayList<>(Values.iterable(value));
    items.sort(Values.truth(given(p, n, 0, "reverse")) ? order.reversed() : order);
    return items;
  }

  private static Object folded(Object key) {
    return key instanceof String text ? text.toLowerCase(Locale.ROOT) : key;
  }

  private static List<Object> unique(List<Object> items) {
    var unique = new ArrayList<Object>();
    for (var item : items) {
      if (unique.stream().noneMatch(u -> Values.equal(folded(u), folded(item)))) {
        unique.add(item);
      }
    }
    return unique;
  }

  private static List<Object> map(Object value, List<Object> p, Map<String, Object> n) {
    if (p.isEmpty()) {
      var mapped = mapped(value, n.get("attribute"));
      if (n.containsKey("default")) {
        mapped.replaceAll(item -> item instanceof Undefined ? n.get("default") : item);
      }
      return mapped;
    }
    var mapped = new ArrayList<Object>();
    for (var item : Values.iterable(value)) {
      mapped.add(apply(Values.string(p.getFirst()), item, p.subList(1, p.size()), n));
    }
    return mapped;
  }

  private static List<Object> mapped(Object value, Object attribute) {
    var items = new ArrayList<>(Values.iterable(value));
    if (attribute != null) {
      items.replaceAll(item -> path(item, Values.text(attribute)));
    }
    return items;
  }

  /** {@code a.b.0} from an item. */
  private static Object path(Object item, String path) {
    var value = item;
    for (var name : path.split("\\.")) {
      value = Values.item(value, name.matches("\\d+") ? (Object) Long.parseLong(name) : name);
    }
    return value;
  }

  private static Object whole(Object value, Object otherwise) {
    try {
      return switch (value) {
        case Double d -> (long) (double) d;
        case String text -> Long.parseLong(Methods.strip(text));
        case Long l -> l;
        case Boolean b -> Values.integer(b);
        case null, default -> otherwise;
      };
    } catch (NumberFormatException e) {
      return otherwise;
    }
  }

  private static Object real(Object value, Object otherwise) {
    try {
      return value instanceof String text
          ? Double.parseDouble(text)
          : (Object) Values.asDouble(value);
    } catch (NumberFormatException | Fault e) {
      return otherwise;
    }
  }

  private static Object rounded(Object value, List<Object> p, Map<String, Object> n) {
    var precision = given(p, n, 0, "precision");
    double scale = Math.pow(10, precision == null ? 0 : Values.integer(precision));
    var method = given(p, n, 1, "method");
    double scaled = Values.asDouble(value) * scale;
    return switch (method == null ? "common" : Values.text(method)) {
      case "ceil" -> Math.ceil(scaled) / scale;
      case "floor" -> Math.floor(scaled) / scale;
      default -> Math.rint(scaled) / scale;
    };
  }
}
