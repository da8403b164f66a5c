package io.holdfast.text;

import com.hubspot.jinjava.el.JinjavaInterpreterResolver;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import jinjava.javax.el.CompositeELResolver;
import jinjava.javax.el.ELContext;
import jinjava.javax.el.ELResolver;

/** Python's methods of strings, which chat templates call and Java's strings do not have. */
final class PythonObjects extends ELResolver {
  private static final Set<String> METHODS =
      Set.of(
          "strip",
          "lstrip",
          "rstrip",
          "split",
          "rsplit",
          "splitlines",
          "startswith",
          "endswith",
          "upper",
          "lower",
          "title",
          "capitalize",
          "replace",
          "find",
          "count",
          "join",
          "removeprefix",
          "removesuffix",
          "isdigit");

  private PythonObjects() {}

  static ELResolver resolver() {
    var resolver = new CompositeELResolver();
    resolver.add(new PythonObjects());
    resolver.add(JinjavaInterpreterResolver.DEFAULT_RESOLVER_READ_ONLY);
    return resolver;
  }

  @Override
  public Object getValue(ELContext context, Object base, Object property) {
    if (base instanceof String text && property instanceof Number number) {
      context.setPropertyResolved(true);
      int index = number.intValue() < 0 ? text.length() + number.intValue() : number.intValue();
      return index >= 0 && index < text.length() ? text.substring(index, index + 1) : null;
    }
    return null;
  }

  @Override
  public Object invoke(
      ELContext context, Object base, Object method, Class<?>[] types, Object[] arguments) {
    if (base == null
        || !METHODS.contains(String.valueOf(method))
        || !(base instanceof CharSequence)) {
      return null;
    }
    context.setPropertyResolved(true);
    return call(base.toString(), method.toString(), arguments == null ? new Object[0] : arguments);
  }

  private static Object call(String text, String method, Object[] arguments) {
    return switch (method) {
      case "strip" -> right(left(text, arguments), arguments);
      case "lstrip" -> left(text, arguments);
      case "rstrip" -> right(text, arguments);
      case "split" -> split(text, arguments);
      case "rsplit" -> reversedSplit(text, arguments);
      case "splitlines" -> text.isEmpty() ? List.of() : text.lines().toList();
      case "startswith" -> any(arguments[0]).stream().anyMatch(text::startsWith);
      case "endswith" -> any(arguments[0]).stream().anyMatch(text::endsWith);
      case "upper" -> text.toUpperCase(Locale.ROOT);
      case "lower" -> text.toLowerCase(Locale.ROOT);
      case "title" -> titled(text);
      case "capitalize" ->
          text.isEmpty()
              ? text
              : text.substring(0, 1).toUpperCase(Locale.ROOT)
                  + text.substring(1).toLowerCase(Locale.ROOT);
      case "replace" -> text.replace(arguments[0].toString(), arguments[1].toString());
      case "find" -> text.indexOf(arguments[0].toString());
      case "count" ->
          text.split(java.util.regex.Pattern.quote(arguments[0].toString()), -1).length - 1;
      case "join" -> String.join(text, any(arguments[0]));
      case "removeprefix" ->
          text.startsWith(arguments[0].toString())
              ? text.substring(arguments[0].toString().length())
              : text;
      case "removesuffix" ->
          text.endsWith(arguments[0].toString())
              ? text.substring(0, text.length() - arguments[0].toString().length())
              : text;
      case "isdigit" -> !text.isEmpty() && text.chars().allMatch(Character::isDigit);
      default -> throw new Jinja.Failed("str." + method + " is not supported", null);
    };
  }

  private static String left(String text, Object[] arguments) {
    int from = 0;
    while (from < text.length() && stripped(text.charAt(from), arguments)) {
      from++;
    }
    return text.substring(from);
  }

  private static String right(String text, Object[] arguments) {
    int to = text.length();
    while (to > 0 && stripped(text.charAt(to - 1), arguments)) {
      to--;
    }
    return text.substring(0, to);
  }

  private static boolean stripped(char c, Object[] arguments) {
    return arguments.length == 0 || arguments[0] == null
        ? isSpace(c)
        : arguments[0].toString().indexOf(c) >= 0;
  }

  /** Python's {@code str.isspace}: unlike Java, non-breaking spaces and NEL count too. */
  private static boolean isSpace(char c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == '\u0085';
  }

  private static List<String> split(String text, Object[] arguments) {
    int most = arguments.length > 1 ? ((Number) arguments[1]).intValue() : -1;
    var parts = new ArrayList<String>();
    if (arguments.length == 0 || arguments[0] == null) {
      var rest = left(text, new Object[0]);
      while (!rest.isEmpty() && (most < 0 || parts.size() < most)) {
        int end = 0;
        while (end < rest.length() && !isSpace(rest.charAt(end))) {
          end++;
        }
        parts.add(rest.substring(0, end));
        rest = left(rest.substring(end), new Object[0]);
      }
      if (!rest.isEmpty()) {
        parts.add(rest);
      }
      return parts;
    }
    var by = arguments[0].toString();
    int from = 0;
    for (int at = text.indexOf(by);
        at >= 0 && (most < 0 || parts.size() < most);
        at = text.indexOf(by, from)) {
      parts.add(text.substring(from, at));
      from = at + by.length();
    }
    parts.add(text.substring(from));
    return parts;
  }

  private static List<String> reversedSplit(String text, Object[] arguments) {
    int most = arguments.length > 1 ? ((Number) arguments[1]).intValue() : -1;
    var parts =
        new ArrayList<>(split(text, Arrays.copyOf(arguments, Math.min(1, arguments.length))));
    while (most >= 0 && parts.size() > most + 1) {
      var head = parts.removeFirst() + arguments[0] + parts.removeFirst();
      parts.addFirst(head);
    }
    return parts;
  }

  private static String titled(String text) {
    var titled = new StringBuilder();
    boolean inWord = false;
    for (char c : text.toCharArray()) {
      titled.append(inWord ? Character.toLowerCase(c) : Character.toTitleCase(c));
      inWord = Character.isLetter(c);
    }
    return titled.toString();
  }

  /** One string, or several: Python takes a tuple of alternatives. */
  private static List<String> any(Object argument) {
    if (argument instanceof Iterable<?> several) {
      var texts = new ArrayList<String>();
      several.forEach(text -> texts.add(String.valueOf(text)));
      return texts;
    }
    return List.of(String.valueOf(argument));
  }

  @Override
  public Class<?> getType(ELContext context, Object base, Object property) {
    return null;
  }

  @Override
  public void setValue(ELContext context, Object base, Object property, Object value) {
    throw new Jinja.Failed("a chat template may not change its input", null);
  }

  @Override
  public boolean isReadOnly(ELContext context, Object base, Object property) {
    return true;
  }

  @Override
  public Iterator<java.beans.FeatureDescriptor> getFeatureDescriptors(
      ELContext context, Object base) {
    return null;
  }

  @Override
  public Class<?> getCommonPropertyType(ELContext context, Object base) {
    return null;
  }
}
