package io.holdfast.model;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.HoldfastException;
import java.nio.file.Path;

/** Typed access to a model's {@code config.json}, with errors that name the file and the key. */
record ConfigReader(JsonNode config, Path file) {
  int size(String key) {
    var value = config.path(key);
    if (!value.isIntegralNumber() || !value.canConvertToInt() || value.asInt() < 1) {
      throw HoldfastException.input(
          "%s: %s must be a positive integer, not %s",
          file, key, value.isMissingNode() ? "missing" : value);
    }
    return value.asInt();
  }

  int size(String key, int otherwise) {
    return absent(key) ? otherwise : size(key);
  }

  double number(String key, double otherwise) {
    return absent(key) ? otherwise : number(key);
  }

  double number(String key) {
    var value = config.path(key);
    if (!value.isNumber()) {
      throw HoldfastException.input(
          "%s: %s must be a number, not %s", file, key, value.isMissingNode() ? "missing" : value);
    }
    return value.asDouble();
  }

  boolean flag(String key, boolean otherwise) {
    if (absent(key)) {
      return otherwise;
    }
    if (!config.get(key).isBoolean()) {
      throw HoldfastException.input(
          "%s: %s must be true or false, not %s", file, key, config.get(key));
    }
    return config.get(key).asBoolean();
  }

  String text(String key, String otherwise) {
    return absent(key) ? otherwise : config.get(key).asText();
  }

  private boolean absent(String key) {
    return config.path(key).isMissingNode() || config.path(key).isNull();
  }
}
