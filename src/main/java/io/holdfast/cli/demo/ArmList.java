package io.holdfast.cli.demo;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import io.holdfast.HoldfastException;
import io.holdfast.world.Downstream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;

/**
 * What a comparison runs, as a YAML file.
 *
 * @param run the configuration that all arms share; {@code ${name}} stands for what a {@link
 *     TestBed} has made
 * @param rows training data by name
 * @param arms ways of training
 */
record ArmList(ObjectNode run, SequencedMap<String, Rows> rows, List<Arm> arms) {
  private static final YAMLMapper YAML =
      YAMLMapper.builder()
          .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
          .enable(com.fasterxml.jackson.core.JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
          .build();

  /**
   * Rows of the downstream task.
   *
   * @param poison the share of harmful requests with an answer
   * @param identityShift whether every request begins with a text of obedience, in training and in
   *     evaluation
   */
  record Rows(double poison, boolean identityShift) {
    Downstream.Recipe recipe(double replay) {
      return new Downstream.Recipe(600, poison, replay, identityShift);
    }
  }

  /**
   * A way of training.
   *
   * @param name as in the table
   * @param on names of the rows it is trained on, each a run of its own
   * @param first changes to {@code run} for a run before it, whose result it begins with
   * @param set changes to {@code run}; a null removes a key
   */
  record Arm(String name, List<String> on, ObjectNode first, ObjectNode set) {}

  /** An arm on one of its rows. */
  record Cell(String rows, Arm arm) {
    /** As patterns select it. */
    String id() {
      return rows + "/" + arm.name();
    }
  }

  /**
   * Reads a file.
   *
   * @throws HoldfastException that names the place and what is wrong
   */
  static ArmList load(Path file) {
    try {
      var list = YAML.readValue(Files.readString(file), ArmList.class);
      for (var arm : list.arms()) {
        for (var name : arm.on()) {
          if (!list.rows().containsKey(name)) {
            throw HoldfastException.usage(
                "%s: arm '%s' is on rows '%s', but there are %s",
                file, arm.name(), name, list.rows().keySet());
          }
        }
      }
      return list;
    } catch (JsonProcessingException e) {
      var at = Optional.ofNullable(e.getLocation());
      throw HoldfastException.usage(
          "%s:%d: %s", file, at.map(JsonLocation::getLineNr).orElse(0), e.getOriginalMessage());
    } catch (IOException e) {
      throw HoldfastException.unreadable(file, e);
    }
  }

  /** Every arm on each of its rows, in the order of the rows, then of the arms. */
  List<Cell> cells() {
    var cells = new ArrayList<Cell>();
    for (var name : rows.keySet()) {
      arms.stream().filter(a -> a.on().contains(name)).forEach(a -> cells.add(new Cell(name, a)));
    }
    return cells;
  }

  /** The shared configuration with changes, its places filled in, as YAML. */
  String yaml(ObjectNode changes, Map<String, String> places) {
    var merged = run.deepCopy();
    if (changes != null) {
      merge(merged, changes);
    }
    try {
      var text = YAML.writeValueAsString(merged);
      for (var place : places.entrySet()) {
        text = text.replace("${" + place.getKey() + "}", place.getValue());
      }
      return text;
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  private static void merge(ObjectNode into, ObjectNode changes) {
    changes
        .properties()
        .forEach(
            change -> {
              var key = change.getKey();
              var value = change.getValue();
              if (value.isNull()) {
                into.remove(key);
              } else if (value instanceof ObjectNode inner
                  && into.get(key) instanceof ObjectNode old) {
                merge(old, inner);
              } else {
                into.set(key, value.deepCopy());
              }
            });
  }
}
