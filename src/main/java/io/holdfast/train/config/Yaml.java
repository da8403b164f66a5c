package io.holdfast.train.config;

import io.holdfast.HoldfastException;
import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import org.yaml.snakeyaml.DumperOptions;
import org.yaml.snakeyaml.error.MarkedYAMLException;
import org.yaml.snakeyaml.error.YAMLException;
import org.yaml.snakeyaml.nodes.MappingNode;
import org.yaml.snakeyaml.nodes.Node;
import org.yaml.snakeyaml.nodes.ScalarNode;
import org.yaml.snakeyaml.nodes.SequenceNode;

/**
 * A YAML document in which every value knows where it was written, so that an error can say so.
 *
 * <p>Scalars keep their text: what it means is decided by the record component that receives it,
 * which spares us YAML 1.1's surprises ({@code no} as a boolean, {@code 2e-4} as a string).
 */
sealed interface Yaml {
  /** Where it stands: {@code FILE:LINE}, or the option that set it. */
  String at();

  /** Whether nothing was written: {@code key:}, {@code ~} or {@code null}. */
  default boolean absent() {
    return false;
  }

  /** A word, number or quoted string. */
  record Scalar(String text, boolean quoted, String at) implements Yaml {
    @Override
    public boolean absent() {
      return !quoted && (text.isEmpty() || text.equals("~") || text.equals("null"));
    }
  }

  /** A list. */
  record Items(List<Yaml> items, String at) implements Yaml {}

  /** Keys and values, in the order of the file. */
  record Section(SequencedMap<String, Yaml> entries, String at) implements Yaml {
    /** A copy in which the value at a dotted path is another; missing sections are made. */
    Section with(String path, Yaml value) {
      int dot = path.indexOf('.');
      var key = dot < 0 ? path : path.substring(0, dot);
      var copy = new LinkedHashMap<>(entries);
      if (dot < 0) {
        copy.put(key, value);
      } else {
        var inner = entries.get(key) instanceof Section s ? s : empty(value.at());
        copy.put(key, inner.with(path.substring(dot + 1), value));
      }
      return new Section(copy, at);
    }

    static Section empty(String at) {
      return new Section(new LinkedHashMap<>(), at);
    }
  }

  /** Reads a file that holds one section. */
  static Section file(Path file) {
    String text;
    try {
      text = Files.readString(file);
    } catch (IOException e) {
      throw HoldfastException.unreadable(file, e);
    }
    return switch (parse(text, file.toString(), true)) {
      case Section section -> section;
      case Yaml nothing when nothing.absent() -> Section.empty(file.toString());
      case Yaml other ->
          throw HoldfastException.usage(
              "%s: expected keys and values, such as 'model: DIR'", other.at());
    };
  }

  /** Reads a single value, such as the right side of {@code --set key=value}. */
  static Yaml value(String text, String at) {
    return parse(text, at, false);
  }

  private static Yaml parse(String text, String source, boolean lines) {
    try {
      var node = new org.yaml.snakeyaml.Yaml().compose(new StringReader(text));
      return node == null ? new Scalar("", false, source) : located(node, source, lines);
    } catch (MarkedYAMLException e) {
      var mark = e.getProblemMark();
      var at = lines && mark != null ? source + ":" + (mark.getLine() + 1) : source;
      throw HoldfastException.usage("%s: is not valid YAML: %s", at, e.getProblem()).causedBy(e);
    } catch (YAMLException e) {
      throw HoldfastException.usage("%s: is not valid YAML: %s", source, e.getMessage())
          .causedBy(e);
    }
  }

  private static Yaml located(Node node, String source, boolean lines) {
    var at = at(node, source, lines);
    return switch (node) {
      case ScalarNode scalar -> new Scalar(scalar.getValue(), !scalar.isPlain(), at);
      case SequenceNode sequence ->
          new Items(
              sequence.getValue().stream().map(item -> located(item, source, lines)).toList(), at);
      case MappingNode mapping -> {
        var entries = new LinkedHashMap<String, Yaml>();
        for (var tuple : mapping.getValue()) {
          if (!(tuple.getKeyNode() instanceof ScalarNode key)) {
            throw HoldfastException.usage("%s: a key must be a word", at);
          }
          if (entries.put(key.getValue(), located(tuple.getValueNode(), source, lines)) != null) {
            throw HoldfastException.usage(
                "%s: key '%s' is given twice", at(key, source, lines), key.getValue());
          }
        }
        yield new Section(entries, at);
      }
      default -> throw HoldfastException.usage("%s: unknown kind of YAML node", at);
    };
  }

  private static String at(Node node, String source, boolean lines) {
    return lines ? source + ":" + (node.getStartMark().getLine() + 1) : source;
  }

  /** Writes maps, lists and scalars as block YAML; lists stay on one line. */
  static String write(SequencedMap<String, Object> content) {
    var options = new DumperOptions();
    options.setDefaultFlowStyle(DumperOptions.FlowStyle.BLOCK);
    options.setWidth(100);
    return new org.yaml.snakeyaml.Yaml(options).dump(content);
  }
}
