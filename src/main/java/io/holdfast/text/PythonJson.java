package io.holdfast.text;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.filter.AdvancedFilter;
import java.util.Map;
import java.util.StringJoiner;
import java.util.TreeMap;

/**
 * The filter {@code tojson} as {@code transformers} defines it: Python's {@code json.dumps}, blanks
 * after separators, no escapes for characters beyond ASCII.
 */
final class PythonJson implements AdvancedFilter {
  private static final ObjectMapper SCALARS = new ObjectMapper();

  @Override
  public String getName() {
    return "tojson";
  }

  @Override
  public Object filter(
      Object value, JinjavaInterpreter interpreter, Object[] arguments, Map<String, Object> named) {
    for (var name : named.keySet()) {
      if (!name.equals("indent") && !name.equals("ensure_ascii") && !name.equals("sort_keys")) {
        throw new Jinja.Failed("tojson: '" + name + "' is not supported", null);
      }
    }
    var indent = named.get("indent");
    return new Writer(
            indent == null ? -1 : ((Number) indent).intValue(),
            Boolean.TRUE.equals(named.get("sort_keys")),
            Boolean.TRUE.equals(named.get("ensure_ascii")))
        .write(value, 0);
  }

  private record Writer(int indent, boolean sorted, boolean ascii) {
    String write(Object value, int depth) {
      return switch (value) {
        case Map<?, ?> map -> {
          var fields = new StringJoiner(separator(depth), "{" + open(depth), close(depth) + "}");
          (sorted ? new TreeMap<>(map) : map)
              .forEach(
                  (key, field) ->
                      fields.add(scalar(String.valueOf(key)) + ": " + write(field, depth + 1)));
          yield map.isEmpty() ? "{}" : fields.toString();
        }
        case Iterable<?> items -> {
          var list = new StringJoiner(separator(depth), "[" + open(depth), close(depth) + "]");
          items.forEach(item -> list.add(write(item, depth + 1)));
          yield items.iterator().hasNext() ? list.toString() : "[]";
        }
        case null -> "null";
        default -> scalar(value);
      };
    }

    private String scalar(Object value) {
      try {
        var json = SCALARS.writeValueAsString(value);
        if (!ascii) {
          return json;
        }
        var escaped = new StringBuilder();
        json.chars()
            .forEach(
                c -> escaped.append(c < 128 ? String.valueOf((char) c) : "\\u%04x".formatted(c)));
        return escaped.toString();
      } catch (JsonProcessingException e) {
        throw new Jinja.Failed("tojson: cannot write " + value.getClass().getSimpleName(), e);
      }
    }

    private String separator(int depth) {
      return indent < 0 ? ", " : ",\n" + " ".repeat(indent * (depth + 1));
    }

    private String open(int depth) {
      return indent < 0 ? "" : "\n" + " ".repeat(indent * (depth + 1));
    }

    private String close(int depth) {
      return indent < 0 ? "" : "\n" + " ".repeat(indent * depth);
    }
  }
}
