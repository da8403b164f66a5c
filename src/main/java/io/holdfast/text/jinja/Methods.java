package io.holdfast.text.jinja;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The methods of Python's strings, lists and dictionaries that change nothing. */
final class Methods {
  private Methods() {}

  /** A method bound to its object, or null if there is none of that name. */
  static Function of(Object object, String name) {
    return switch (object) {
      case String text -> ofText(text, name);
      case Map<?, ?> map -> ofMap(map, name);
      case List<?> list -> ofList(list, name);
      case null, default -> null;
    };
  }

  private static Function ofMap(Map<?, ?> map, String name) {
    return switch (name) {
      case "items" -> (p, n) -> items(map);
      case "keys" -> (p, n) -> new ArrayList<Object>(map.keySet());
      case "values" -> (p, n) -> new ArrayList<Object>(map.values());
      case "get" ->
          (p, n) -> map.containsKey(p.getFirst()) ? map.get(p.getFirst()) : argument(p, 1, null);
      default -> null;
    };
  }

  static List<Object> items(Map<?, ?> map) {
    var items = new ArrayList<Object>();
    map.forEach((key, value) -> items.add(new Tuple(Arrays.asList(key, value))));
    return items;
  }

  private static Function ofList(List<?> list, String name) {
    return switch (name) {
      case "count" ->
          (p, n) -> list.stream().filter(item -> Values.equal(item, p.getFirst())).count();
      case "index" ->
          (p, n) -> {
            for (int i = 0; i < list.size(); i++) {
              if (Values.equal(list.get(i), p.getFirst())) {
                return (long) i;
              }
            }
            throw new Fault("%s is not in the list", Repr.of(p.getFirst()));
          };
      default -> null;
    };
  }

  private static Function ofText(String text, String name) {
    return switch (name) {
      case "strip" -> (p, n) -> right(left(text, characters(p)), characters(p));
      case "lstrip" -> (p, n) -> left(text, characters(p));
      case "rstrip" -> (p, n) -> right(text, characters(p));
      case "split" -> (p, n) -> split(text, separator(p, n), most(p, n));
      case "rsplit" -> (p, n) -> splitFromRight(text, separator(p, n), most(p, n));
      case "splitlines" -> (p, n) -> new ArrayList<Object>(text.lines().toList());
      case "partition" -> (p, n) -> partition(text, Values.string(p.getFirst()));
      case "startswith" -> (p, n) -> any(p.getFirst()).stream().anyMatch(text::startsWith);
      case "endswith" -> (p, n) -> any(p.getFirst()).stream().anyMatch(text::endsWith);
      case "removeprefix" ->
          (p, n) -> {
            var prefix = Values.string(p.getFirst());
            return text.startsWith(prefix) ? text.substring(prefix.length()) : text;
          };
      case "removesuffix" ->
          (p, n) -> {
            var suffix = Values.string(p.getFirst());
            return text.endsWith(suffix)
                ? text.substring(0, text.length() - suffix.length())
                : text;
          };
      case "replace" -> (p, n) -> replace(text, p);
      case "join" ->
          (p, n) ->
              String.join(
                  text, Values.iterable(p.getFirst()).stream().map(Values::string).toList());
      case "upper" -> (p, n) -> text.toUpperCase(Locale.ROOT);
      case "lower" -> (p, n) -> text.toLowerCase(Locale.ROOT);
      case "title" -> (p, n) -> titled(text);
      case "capitalize" -> (p, n) -> capitalized(text);
      case "find" -> (p, n) -> position(text, text.indexOf(Values.string(p.getFirst())));
      case "rfind" -> (p, n) -> position(text, text.lastIndexOf(Values.string(p.getFirst())));
      case "count" -> (p, n) -> split(text, Values.string(p.getFirst()), -1).size() - 1L;
      case "isdigit" -> (p, n) -> !text.isEmpty() && text.codePoints().allMatch(Character::isDigit);
      case "isalpha" ->
          (p, n) -> !text.isEmpty() && text.codePoints().allMatch(Character::isLetter);
      case "isspace" -> (p, n) -> !text.isEmpty() && left(text, null).isEmpty();
      case "isupper" -> (p, n) -> isCased(text, text.toUpperCase(Locale.ROOT));
      case "islower" -> (p, n) -> isCased(text, text.toLowerCase(Locale.ROOT));
      default -> null;
    };
  }

  static String strip(String text) {
    return right(left(text, null), null);
  }

  private static String left(String text, String characters) {
    int from = 0;
    while (from < text.length() && isStripped(text.codePointAt(from), characters)) {
      from += Character.charCount(text.codePointAt(from));
    }
    return text.substring(from);
  }

  private static String right(String text, String characters) {
    int to = text.length();
    while (to > 0 && isStripped(text.codePointBefore(to), characters)) {
      to -= Character.charCount(text.codePointBefore(to));
    }
    return text.substring(0, to);
  }

  private static boolean isStripped(int c, String characters) {
    return characters == null ? isSpace(c) : characters.indexOf(c) >= 0;
  }

  /**
   * As {@code str.isspace}: unlike for Java, unbreakable spaces and the next-line sign are space.
   */
  static boolean isSpace(int c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85;
  }

  private static String characters(List<Object> positional) {
    var characters = argument(positional, 0, null);
    return characters == null ? null : Values.string(characters);
  }

  private static String separator(List<Object> positional, Map<String, Object> named) {
    var separator = argument(positional, 0, named.get("sep"));
    return separator == null ? null : Values.string(separator);
  }

  private static int most(List<Object> positional, Map<String, Object> named) {
    return (int) Values.integer(argument(positional, 1, named.getOrDefault("maxsplit", -1L)));
  }

  /** Python's {@code split}: at runs of white space where no separator is given. */
  static List<Object> split(String text, String separator, int most) {
    var parts = new ArrayList<Object>();
    if (separator == null) {
      var rest = left(text, null);
      while (!rest.isEmpty() && (most < 0 || parts.size() < most)) {
        int end = 0;
        while (end < rest.length() && !isSpace(rest.charAt(end))) {
          end++;
        }
        parts.add(rest.substring(0, end));
        rest = left(rest.substring(end), null);
      }
      if (!rest.isEmpty()) {
        parts.add(rest);
      }
      return parts;
    }
    if (separator.isEmpty()) {
      throw new Fault("split: the separator is empty");
    }
    int from = 0;
    int at = text.indexOf(separator);
    while (at >= 0 && (most < 0 || parts.size() < most)) {
      parts.add(text.substring(from, at));
      from = at + separator.length();
      at = text.indexOf(separator, from);
    }
    parts.add(text.substring(from));
    return parts;
  }

  private static List<Object> splitFromRight(String text, String separator, int most) {
    if (separator == null && most >= 0) {
      throw new Fault("rsplit: a limit needs a separator");
    }
    var parts = new ArrayList<>(split(text, separator, -1));
    while (most >= 0 && parts.size() > most + 1) {
      var head = parts.removeFirst() + separator + parts.removeFirst();
      parts.addFirst(head);
    }
    return parts;
  }

  private static Tuple partition(String text, String separator) {
    int at = text.indexOf(separator);
    return new Tuple(
        at < 0
            ? List.of(text, "", "")
            : List.of(text.substring(0, at), separator, text.substring(at + separator.length())));
  }

  private static String replace(String text, List<Object> positional) {
    var old = Values.string(positional.get(0));
    var fresh = Values.string(positional.get(1));
    long most = Values.integer(argument(positional, 2, -1L));
    if (most < 0) {
      return text.replace(old, fresh);
    }
    return String.join(fresh, split(text, old, (int) most).stream().map(Values::string).toList());
  }

  static String titled(String text) {
    var titled = new StringBuilder();
    boolean inWord = false;
    for (int c : text.codePoints().toArray()) {
      titled.appendCodePoint(inWord ? Character.toLowerCase(c) : Character.toTitleCase(c));
      inWord = Character.isLetter(c);
    }
    return titled.toString();
  }

  static String capitalized(String text) {
    if (text.isEmpty()) {
      return text;
    }
    int first = text.offsetByCodePoints(0, 1);
    return text.substring(0, first).toUpperCase(Locale.ROOT)
        + text.substring(first).toLowerCase(Locale.ROOT);
  }

  private static boolean isCased(String text, String same) {
    return text.equals(same) && text.codePoints().anyMatch(Character::isLetter);
  }

  private static long position(String text, int index) {
    return index < 0 ? -1 : text.codePointCount(0, index);
  }

  /** One string, or a tuple of alternatives. */
  private static List<String> any(Object argument) {
    return argument instanceof Tuple several
        ? several.stream().map(Values::string).toList()
        : List.of(Values.string(argument));
  }

  static Object argument(List<Object> positional, int index, Object otherwise) {
    return index < positional.size() ? positional.get(index) : otherwise;
  }
}
