package io.holdfast.text.jinja;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Python's meaning of values: truth, text, equality, order, items. Values are null (none), Boolean,
 * Long, Double, String, List, {@link Tuple}, Map, {@link Undefined} and {@link Function}.
 */
final class Values {
  private Values() {}

  /** A value from outside, its numbers as Long and Double. */
  static Object of(Object value) {
    return switch (value) {
      case Integer i -> i.longValue();
      case Float f -> f.doubleValue();
      case Map<?, ?> map -> {
        var copy = new LinkedHashMap<Object, Object>();
        map.forEach((key, field) -> copy.put(key, of(field)));
        yield copy;
      }
      case List<?> list -> {
        var copy = new ArrayList<Object>(list.size());
        list.forEach(item -> copy.add(of(item)));
        yield copy;
      }
      case null -> null;
      default -> value;
    };
  }

  static boolean truth(Object value) {
    return switch (value) {
      case null -> false;
      case Boolean b -> b;
      case Long l -> l != 0;
      case Double d -> d != 0;
      case String s -> !s.isEmpty();
      case List<?> list -> !list.isEmpty();
      case Map<?, ?> map -> !map.isEmpty();
      case Undefined u -> false;
      default -> true;
    };
  }

  /** Python's {@code str}. */
  static String text(Object value) {
    return switch (value) {
      case String s -> s;
      case Undefined u -> "";
      case null, default -> Repr.of(value);
    };
  }

  static boolean equal(Object a, Object b) {
    if (isNumber(a) && isNumber(b)) {
      return asDouble(a) == asDouble(b);
    }
    return switch (a) {
      case Tuple x -> b instanceof Tuple y && sameItems(x, y);
      case List<?> x -> b instanceof List<?> y && !(b instanceof Tuple) && sameItems(x, y);
      case Map<?, ?> x ->
          b instanceof Map<?, ?> y
              && x.size() == y.size()
              && x.entrySet().stream()
                  .allMatch(
                      e -> y.containsKey(e.getKey()) && equal(e.getValue(), y.get(e.getKey())));
      case Undefined u -> b instanceof Undefined;
      case null, default -> Objects.equals(a, b);
    };
  }

  private static boolean sameItems(List<?> a, List<?> b) {
    boolean same = a.size() == b.size();
    for (int i = 0; same && i < a.size(); i++) {
      same = equal(a.get(i), b.get(i));
    }
    return same;
  }

  static int compare(Object a, Object b) {
    if (isNumber(a) && isNumber(b)) {
      return Double.compare(asDouble(a), asDouble(b));
    }
    if (a instanceof String x && b instanceof String y) {
      return x.compareTo(y);
    }
    if (a instanceof List<?> x && b instanceof List<?> y) {
      for (int i = 0; i < Math.min(x.size(), y.size()); i++) {
        if (!equal(x.get(i), y.get(i))) {
          return compare(x.get(i), y.get(i));
        }
      }
      return Integer.compare(x.size(), y.size());
    }
    throw new Fault("%s and %s have no order", type(a), type(b));
  }

  static boolean contains(Object container, Object item) {
    return switch (container) {
      case String text -> {
        if (!(item instanceof String part)) {
          throw new Fault("'in' looks for text in text, not for %s", type(item));
        }
        yield text.contains(part);
      }
      case Map<?, ?> map -> map.containsKey(item);
      case null -> throw new Fault("none holds nothing to look for with 'in'");
      default -> {
        for (var each : iterable(container)) {
          if (equal(each, item)) {
            yield true;
          }
        }
        yield false;
      }
    };
  }

  /** What a loop sees: items, keys, characters. */
  static List<Object> iterable(Object value) {
    return switch (value) {
      case Undefined u -> List.of();
      case List<?> list -> new ArrayList<>(list);
      case Map<?, ?> map -> new ArrayList<>(map.keySet());
      case String text -> text.codePoints().mapToObj(c -> (Object) Character.toString(c)).toList();
      case null, default -> throw new Fault("%s cannot be gone through", type(value));
    };
  }

  static long length(Object value) {
    return switch (value) {
      case String text -> text.codePointCount(0, text.length());
      case List<?> list -> list.size();
      case Map<?, ?> map -> map.size();
      case Undefined u -> 0;
      case null, default -> throw new Fault("%s has no length", type(value));
    };
  }

  /** {@code a[b]}; what is not there is undefined. */
  static Object item(Object of, Object index) {
    return switch (of) {
      case Undefined u -> throw u.fault();
      case Map<?, ?> map when map.containsKey(index) -> map.get(index);
      case String text when index instanceof Long i -> at(iterable(text), i);
      case List<?> list when index instanceof Long i -> at(list, i);
      case null, default -> new Undefined("'" + text(index) + "' of " + type(of));
    };
  }

  private static Object at(List<?> list, long index) {
    long i = index < 0 ? index + list.size() : index;
    return i >= 0 && i < list.size() ? list.get((int) i) : new Undefined("item " + index);
  }

  /** {@code a[from:to:step]}, Python's rules for what is left out, negative or too far. */
  static Object slice(Object of, Object from, Object to, Object step) {
    if (of instanceof Undefined u) {
      throw u.fault();
    }
    if (!(of instanceof String || of instanceof List<?>)) {
      throw new Fault("%s cannot be sliced", type(of));
    }
    var items = iterable(of);
    long by = step == null ? 1 : integer(step);
    if (by == 0) {
      throw new Fault("a slice cannot go in steps of 0");
    }
    long n = items.size();
    long low = by > 0 ? 0 : -1;
    long high = by > 0 ? n : n - 1;
    long i = from == null ? (by > 0 ? low : high) : bounded(integer(from), n, low, high);
    long end = to == null ? (by > 0 ? high : low) : bounded(integer(to), n, low, high);
    var part = new ArrayList<Object>();
    for (; by > 0 ? i < end : i > end; i += by) {
      part.add(items.get((int) i));
    }
    return of instanceof String
        ? String.join("", part.stream().map(Values::text).toList())
        : of instanceof Tuple ? new Tuple(part) : part;
  }

  private static long bounded(long index, long n, long low, long high) {
    return Math.clamp(index < 0 ? index + n : index, low, high);
  }

  static boolean isNumber(Object value) {
    return isWhole(value) || value instanceof Double;
  }

  /** Python counts true and false among the integers. */
  static boolean isWhole(Object value) {
    return value instanceof Long || value instanceof Boolean;
  }

  static double asDouble(Object value) {
    return value instanceof Double d ? d : integer(value);
  }

  static long integer(Object value) {
    return switch (value) {
      case Long l -> l;
      case Boolean b -> b ? 1 : 0;
      case null, default -> throw new Fault("%s is not an integer", type(value));
    };
  }

  static String string(Object value) {
    if (value instanceof String text) {
      return text;
    }
    throw new Fault("%s is not text", type(value));
  }

  /** What a person calls this kind of value. */
  static String type(Object value) {
    return switch (value) {
      case null -> "none";
      case Boolean b -> "a boolean";
      case Long l -> "an integer";
      case Double d -> "a float";
      case String s -> "text";
      case List<?> l -> "a list";
      case Map<?, ?> m -> "a mapping";
      case Undefined u -> u.what() + " (undefined)";
      default -> "a function";
    };
  }
}
