package io.holdfast.data;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import java.util.OptionalDouble;

/**
 * The fields of a row as what they are meant to be. What is not text may be written as text, as in
 * the cells of a CSV file: a list as JSON, a number or a boolean as itself.
 */
record Fields(ObjectNode json, Place place) {
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  /** Whether a field is there and not null. */
  boolean has(String name) {
    return json.hasNonNull(name);
  }

  /**
   * A text.
   *
   * @throws HoldfastException if it is something else
   */
  String text(String name) {
    if (!json.get(name).isTextual()) {
      throw place.bad("'%s' must be text, not %s", name, json.get(name));
    }
    return json.get(name).textValue();
  }

  /** A text that may be missing, null or blank; it is blank then. */
  String textOrBlank(String name) {
    return has(name) ? text(name) : "";
  }

  /** A list or an object, also from its JSON; whatever else is there is returned as it is. */
  JsonNode structure(String name) {
    var value = json.path(name);
    if (!value.isTextual() || !value.textValue().stripLeading().matches("(?s)[\\[{].*")) {
      return value;
    }
    try {
      return JSON.readTree(value.textValue());
    } catch (JsonProcessingException e) {
      return value;
    }
  }

  /** A switch, off where it is missing. */
  boolean flag(String name) {
    var value = json.path(name);
    if (value.isMissingNode() || value.isNull()) {
      return false;
    }
    return switch (value.asText()) {
      case "true", "True" -> true;
      case "false", "False", "" -> false;
      default -> throw place.bad("'%s' must be true or false, not %s", name, value);
    };
  }

  /** A number, if there is one. */
  OptionalDouble number(String name) {
    var value = json.path(name);
    if (value.isNumber()) {
      return OptionalDouble.of(value.asDouble());
    }
    try {
      return value.isTextual()
          ? OptionalDouble.of(Double.parseDouble(value.textValue().strip()))
          : OptionalDouble.empty();
    } catch (NumberFormatException e) {
      return OptionalDouble.empty();
    }
  }
}
