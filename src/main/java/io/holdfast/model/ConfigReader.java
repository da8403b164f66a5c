package io.holdfast.model;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.HoldfastException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Typed access to a model's {@code config.json}, with errors that name the file and the key. It
 * remembers which keys were asked for.
 */
final class ConfigReader {
  private final JsonNode config;
  private final Path file;
  private final Set<String> read = new HashSet<>();

  ConfigReader(JsonNode config, Path file) {
    this.config = config;
    this.file = file;
  }

  Path file() {
    return file;
  }

  /** Every key that was asked for so far. */
  Set<String> read() {
    return read;
  }

  private JsonNode value(String key) {
    read.add(key);
    return config.path(key);
  }

  int size(String key) {
    int size = size0(key, -1);
    if (size < 1) {
      throw HoldfastException.input(
          "%s: %s must be a positive integer, not %s",
          file, key, value(key).isMissingNode() ? "missing" : value(key));
    }
    return size;
  }

  int size(String key, int otherwise) {
    return absent(key) ? otherwise : size(key);
  }

  /** A count that may be 0. */
  int size0(String key, int otherwise) {
    var value = value(key);
    if (absent(key)) {
      return otherwise;
    }
    if (!value.isIntegralNumber() || !value.canConvertToInt() || value.asInt() < 0) {
      throw HoldfastException.input(
          "%s: %s must be an integer that is not negative, not %s", file, key, value);
    }
    return value.asInt();
  }

  /** A size; an explicit {@code null} is 0, a missing key the default. */
  int sizeOrNull(String key, int otherwise) {
    return value(key).isNull() ? 0 : size(key, otherwise);
  }

  double number(String key, double otherwise) {
    return absent(key) ? otherwise : number(key);
  }

  double number(String key) {
    var value = value(key);
    if (!value.isNumber()) {
      throw HoldfastException.input(
          "%s: %s must be a number, not %s", file, key, value.isMissingNode() ? "missing" : value);
    }
    return value.asDouble();
  }

  /** A number; an explicit {@code null} is 0, a missing key the default. */
  double numberOrNull(String key, double otherwise) {
    return value(key).isNull() ? 0 : number(key, otherwise);
  }

  boolean flag(String key, boolean otherwise) {
    if (absent(key)) {
      return otherwise;
    }
    if (!value(key).isBoolean()) {
      throw HoldfastException.input(
          "%s: %s must be true or false, not %s", file, key, config.get(key));
    }
    return config.get(key).asBoolean();
  }

  String text(String key, String otherwise) {
    return absent(key) ? otherwise : config.get(key).asText();
  }

  /** A list of texts; empty if there is none. */
  List<String> texts(String key) {
    var texts = new ArrayList<String>();
    value(key).forEach(one -> texts.add(one.asText()));
    return texts;
  }

  double[] numbers(String key) {
    var value = value(key);
    var numbers = new double[value.size()];
    for (int i = 0; i < numbers.length; i++) {
      if (!value.get(i).isNumber()) {
        throw HoldfastException.input("%s: %s[%d] must be a number", file, key, i);
      }
      numbers[i] = value.get(i).asDouble();
    }
    return numbers;
  }

  /** The object under a key, or null. */
  ConfigReader object(String key) {
    return value(key).isObject() ? new ConfigReader(config.get(key), file) : null;
  }

  /** Refuses every value but the one that changes nothing. */
  void neutral(String key, double only, String why) {
    if (!absent(key) && !(config.get(key).isNumber() && config.get(key).asDouble() == only)) {
      throw HoldfastException.input("%s: %s is %s; %s", file, key, config.get(key), why);
    }
  }

  /** Refuses every value but the one that changes nothing. */
  void neutral(String key, boolean only, String why) {
    if (!absent(key) && !(config.get(key).isBoolean() && config.get(key).asBoolean() == only)) {
      throw HoldfastException.input("%s: %s is %s; %s", file, key, config.get(key), why);
    }
  }

  boolean absent(String key) {
    return value(key).isMissingNode() || value(key).isNull();
  }

  /** Refuses keys that nobody asked for. */
  void refuseOthers(String where) {
    config
        .fieldNames()
        .forEachRemaining(
            key -> {
              if (!read.contains(key) && !config.get(key).isNull()) {
                throw HoldfastException.input(
                    "%s: %s has the key %s, which the decoder does not know and will not ignore",
                    file, where, key);
              }
            });
  }
}
