package io.holdfast.train.config;

import io.holdfast.HoldfastException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.math.BigDecimal;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Reads records from YAML and writes them back. The records are the schema: components are keys in
 * snake case, {@link Default} gives what may be left out, {@code Optional} what may be missing, and
 * a sealed interface is a choice, written {@code word} or {@code word: {...}}.
 *
 * <p>Nothing is skipped or guessed: an unknown key, a wrong type and a value that the record
 * refuses are errors that name place, key and what is allowed.
 */
final class Binding<T> {
  private final Class<T> root;

  Binding(Class<T> root) {
    this.root = root;
  }

  /** The record that a section describes. */
  T read(Yaml.Section section) {
    return root.cast(record(root, section, ""));
  }

  /** Maps, lists and scalars that {@link #read} turns into an equal record. */
  static SequencedMap<String, Object> write(Record record) {
    var content = new LinkedHashMap<String, Object>();
    for (var component : record.getClass().getRecordComponents()) {
      var value = get(component, record);
      if (value instanceof Optional<?> optional) {
        var empty = component.getAnnotation(EmptyAs.class);
        value = optional.map(Object.class::cast).orElse(empty == null ? null : empty.value());
      }
      if (value != null) {
        content.put(key(component), plain(value));
      }
    }
    return content;
  }

  private static Object plain(Object value) {
    return switch (value) {
      case Record choice when isChoice(choice.getClass()) -> {
        var word = snake(choice.getClass().getSimpleName());
        var content = write(choice);
        yield content.isEmpty() ? word : Map.of(word, content);
      }
      case Record section -> write(section);
      case List<?> list -> list.stream().map(Binding::plain).toList();
      case Enum<?> word -> word.name().toLowerCase(Locale.ROOT);
      case Path path -> path.toString();
      default -> value;
    };
  }

  private Object value(Type type, Yaml node, String path) {
    if (type instanceof ParameterizedType map && map.getRawType() == SequencedMap.class) {
      if (!(node instanceof Yaml.Section section)) {
        throw fail(node, path, "expects keys with a value each");
      }
      var values = new LinkedHashMap<String, Object>();
      section
          .entries()
          .forEach(
              (key, value) ->
                  values.put(key, value(map.getActualTypeArguments()[1], value, join(path, key))));
      return values;
    }
    if (type instanceof ParameterizedType list) {
      var items = node instanceof Yaml.Items several ? several.items() : List.of(node);
      var values = new ArrayList<Object>();
      for (int i = 0; i < items.size(); i++) {
        var itemPath = items.size() == 1 ? path : path + "[" + i + "]";
        values.add(value(list.getActualTypeArguments()[0], items.get(i), itemPath));
      }
      return List.copyOf(values);
    }
    var wanted = (Class<?>) type;
    if (wanted.isRecord()) {
      return record(wanted, node, path);
    }
    if (wanted.isSealed()) {
      return choice(wanted, node, path);
    }
    return scalar(wanted, node, path);
  }

  private Object record(Class<?> type, Yaml node, String path) {
    var components = type.getRecordComponents();
    var keys = Arrays.stream(components).map(Binding::key).toList();
    if (!(node instanceof Yaml.Section section)) {
      throw fail(node, path, "expects the keys " + String.join(", ", keys));
    }
    for (var entry : section.entries().entrySet()) {
      if (!keys.contains(entry.getKey())) {
        throw unknown(entry.getKey(), entry.getValue().at(), keys, path);
      }
    }
    var arguments = new Object[components.length];
    for (int i = 0; i < components.length; i++) {
      arguments[i] = component(components[i], section, path);
    }
    try {
      var types = Arrays.stream(components).map(RecordComponent::getType).toArray(Class<?>[]::new);
      return type.getDeclaredConstructor(types).newInstance(arguments);
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof InvalidValue invalid) {
        var culprit = section.entries().getOrDefault(invalid.key(), section);
        throw HoldfastException.usage("%s: %s", culprit.at(), join(path, invalid.getMessage()));
      }
      throw new IllegalStateException(e.getCause());
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }

  private Object component(RecordComponent component, Yaml.Section section, String path) {
    var key = key(component);
    var fullPath = join(path, key);
    var node = section.entries().get(key);
    boolean absent = node == null || node.absent();
    if (component.getType() == Optional.class) {
      var empty = component.getAnnotation(EmptyAs.class);
      if (absent
          || (empty != null
              && node instanceof Yaml.Scalar(String text, _, _)
              && text.equals(empty.value()))) {
        return Optional.empty();
      }
      var type = ((ParameterizedType) component.getGenericType()).getActualTypeArguments()[0];
      return Optional.of(value(type, node, fullPath));
    }
    if (!absent) {
      return value(component.getGenericType(), node, fullPath);
    }
    var fallback = component.getAnnotation(Default.class);
    if (fallback == null) {
      throw HoldfastException.usage("%s: '%s' is missing", section.at(), fullPath);
    }
    var text = Yaml.value(fallback.value(), section.at());
    return value(component.getGenericType(), text, fullPath);
  }

  private Object choice(Class<?> type, Yaml node, String path) {
    var options =
        Arrays.stream(type.getPermittedSubclasses())
            .collect(
                Collectors.toMap(
                    option -> snake(option.getSimpleName()),
                    Function.identity(),
                    (a, _) -> a,
                    LinkedHashMap::new));
    if (node instanceof Yaml.Scalar(String word, _, String at) && options.containsKey(word)) {
      return record(options.get(word), Yaml.Section.empty(at), join(path, word));
    }
    if (node instanceof Yaml.Section(var entries, _) && entries.size() == 1) {
      var word = entries.firstEntry().getKey();
      var content = entries.firstEntry().getValue();
      if (!options.containsKey(word)) {
        throw unknown(word, content.at(), List.copyOf(options.keySet()), path);
      }
      var section = content.absent() ? Yaml.Section.empty(content.at()) : content;
      return record(options.get(word), section, join(path, word));
    }
    var shapes = new ArrayList<String>();
    options.forEach(
        (word, option) ->
            shapes.add(
                Arrays.stream(option.getRecordComponents())
                    .map(Binding::key)
                    .collect(Collectors.joining(", ", word + ": {", "}"))
                    .replace(": {}", "")));
    throw fail(node, path, "expects " + String.join("  or  ", shapes));
  }

  private Object scalar(Class<?> type, Yaml node, String path) {
    if (!(node instanceof Yaml.Scalar scalar)) {
      throw fail(node, path, "expects a single value");
    }
    var text = scalar.text();
    try {
      return switch (type.getSimpleName()) {
        case "int", "Integer" -> new BigDecimal(text).intValueExact();
        case "long", "Long" -> new BigDecimal(text).longValueExact();
        case "double", "Double" -> finite(text);
        case "boolean" -> bool(scalar, path);
        case "String" -> text;
        case "Path" -> Path.of(text);
        default -> constant(type, scalar, path);
      };
    } catch (ArithmeticException | NumberFormatException e) {
      boolean whole = type != double.class && type != Double.class;
      throw fail(node, path, "expects a %snumber, not '%s'".formatted(whole ? "whole " : "", text));
    }
  }

  private static double finite(String text) {
    double value = new BigDecimal(text).doubleValue();
    if (Double.isInfinite(value)) {
      throw new NumberFormatException(text);
    }
    return value;
  }

  private static boolean bool(Yaml.Scalar scalar, String path) {
    return switch (scalar.text()) {
      case "true" -> true;
      case "false" -> false;
      default -> throw fail(scalar, path, "expects true or false, not '" + scalar.text() + "'");
    };
  }

  private static Object constant(Class<?> type, Yaml.Scalar scalar, String path) {
    var constants =
        Arrays.stream(type.getEnumConstants())
            .collect(
                Collectors.toMap(
                    Binding::plain, Function.identity(), (a, _) -> a, LinkedHashMap::new));
    if (!constants.containsKey(scalar.text())) {
      var words = constants.keySet().stream().map(String::valueOf).toList();
      var guess = Nearest.to(scalar.text(), words).map(" (did you mean %s?)"::formatted);
      throw fail(
          scalar,
          path,
          "expects one of %s, not '%s'%s"
              .formatted(String.join(", ", words), scalar.text(), guess.orElse("")));
    }
    return constants.get(scalar.text());
  }

  private HoldfastException unknown(String key, String at, List<String> allowed, String path) {
    var guess =
        Nearest.to(key, allowed)
            .map(near -> join(path, near))
            .or(() -> paths(root, "").stream().filter(p -> p.endsWith("." + key)).findFirst());
    return HoldfastException.usage(
        "%s: unknown key '%s'%s; allowed here: %s",
        at,
        join(path, key),
        guess.map(" (did you mean '%s'?)"::formatted).orElse(""),
        String.join(", ", allowed));
  }

  /** Every dotted key below a record type. */
  private static List<String> paths(Class<?> type, String prefix) {
    var paths = new ArrayList<String>();
    for (var component : type.getRecordComponents()) {
      var path = join(prefix, key(component));
      paths.add(path);
      var inner =
          component.getGenericType() instanceof ParameterizedType generic
              ? generic.getActualTypeArguments()[0]
              : component.getType();
      if (inner instanceof Class<?> section && section.isRecord()) {
        paths.addAll(paths(section, path));
      } else if (inner instanceof Class<?> choice && choice.isSealed()) {
        for (var option : choice.getPermittedSubclasses()) {
          paths.add(join(path, snake(option.getSimpleName())));
          paths.addAll(paths(option, join(path, snake(option.getSimpleName()))));
        }
      }
    }
    return paths;
  }

  private static HoldfastException fail(Yaml node, String path, String message) {
    return HoldfastException.usage("%s: %s: %s", node.at(), path, message);
  }

  private static boolean isChoice(Class<?> type) {
    return Arrays.stream(type.getInterfaces()).anyMatch(Class::isSealed);
  }

  private static Object get(RecordComponent component, Record record) {
    try {
      return component.getAccessor().invoke(record);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }

  private static String key(RecordComponent component) {
    return snake(component.getName());
  }

  /** A name in camel case as a key. */
  static String snake(String camelCase) {
    return camelCase.replaceAll("(?<=[a-z0-9])(?=[A-Z])", "_").toLowerCase(Locale.ROOT);
  }

  private static String join(String path, String key) {
    return path.isEmpty() ? key : path + "." + key;
  }
}
