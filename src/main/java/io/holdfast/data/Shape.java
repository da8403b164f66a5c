package io.holdfast.data;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The shapes in which people have rows, told apart by the fields that are there. */
enum Shape {
  /** Ids as they are; whatever else the row holds is then only for people to read. */
  TOKENS(List.of("tokens"), List.of()),
  /** OpenAI's list of turns. */
  MESSAGES(List.of("messages"), told()),
  /** ShareGPT's list of turns. */
  CONVERSATIONS(List.of("conversations"), told("system")),
  /** A question and its answer, as text or as lists of turns. */
  COMPLETION(List.of("prompt", "completion"), told("system")),
  /** Stanford Alpaca. */
  ALPACA(List.of("instruction", "output"), told("input", "system")),
  /** Databricks Dolly. */
  DOLLY(List.of("instruction", "response"), told("context", "system")),
  /** Plain text. */
  TEXT(List.of("text"), List.of());

  private static final Set<String> FIELDS =
      Arrays.stream(values())
          .flatMap(shape -> Stream.concat(shape.required.stream(), shape.optional.stream()))
          .collect(Collectors.toUnmodifiableSet());

  private final List<String> required;
  private final List<String> optional;

  Shape(List<String> required, List<String> optional) {
    this.required = required;
    this.optional = optional;
  }

  /** These and what any row may tell the chat template. */
  private static List<String> told(String... fields) {
    return Stream.concat(Stream.of(fields), Stream.of("tools", "documents", "chat_template_kwargs"))
        .toList();
  }

  /** Whether a field is part of some shape. */
  static boolean isField(String name) {
    return FIELDS.contains(name);
  }

  /** Every field that is part of some shape. */
  static Set<String> fields() {
    return FIELDS;
  }

  /**
   * The one shape whose fields are there and not null.
   *
   * @throws HoldfastException if there is none, or more than one
   */
  static Shape of(ObjectNode row, Place place) {
    if (row.hasNonNull("tokens")) {
      return TOKENS;
    }
    var found =
        Arrays.stream(values())
            .filter(shape -> shape.required.stream().allMatch(row::hasNonNull))
            .toList();
    if (found.size() == 1) {
      return found.getFirst();
    }
    var columns = new ArrayList<String>();
    row.fieldNames().forEachRemaining(columns::add);
    if (found.size() > 1) {
      var names = found.stream().map(Shape::toString).collect(Collectors.joining("; "));
      var first = found.getFirst().required;
      throw place.bad(
          "the columns %s make more than one kind of row: %s. Say in data.columns which to read,"
              + " such as {%s}, or leave the others out.",
          String.join(", ", columns),
          names,
          first.stream().map(name -> name + ": " + name).collect(Collectors.joining(", ")));
    }
    for (var shape : values()) {
      if (shape.required.stream().allMatch(row::has)) {
        var empty = shape.required.stream().filter(name -> !row.hasNonNull(name)).findFirst();
        throw place.bad("the field '%s' is null; fill it or drop the row", empty.orElseThrow());
      }
    }
    throw place.bad(
        "a row with the columns %s; rows have %s. Other names are told by data.columns, such as"
            + " {prompt: %s, completion: ...}.",
        columns.isEmpty() ? "(none)" : String.join(", ", columns),
        Arrays.stream(values()).map(Shape::toString).collect(Collectors.joining("; ")),
        columns.isEmpty() ? "..." : columns.getFirst());
  }

  /** The fields that a row of this shape has. */
  @Override
  public String toString() {
    return String.join(" and ", required);
  }
}
