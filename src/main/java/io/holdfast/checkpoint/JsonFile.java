package io.holdfast.checkpoint;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.core.util.Separators;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Small JSON files, read strictly and written as Python's {@code json.dumps(indent=2)} does. */
final class JsonFile {
  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private static final DefaultPrettyPrinter PRINTER =
      new DefaultPrettyPrinter(
              Separators.createDefaultInstance()
                  .withObjectFieldValueSpacing(Separators.Spacing.AFTER)
                  .withObjectEmptySeparator("")
                  .withArrayEmptySeparator(""))
          .withObjectIndenter(new DefaultIndenter("  ", "\n"))
          .withArrayIndenter(new DefaultIndenter("  ", "\n"));

  private JsonFile() {}

  static ObjectNode object() {
    return JSON.createObjectNode();
  }

  /** The object that a file holds. */
  static ObjectNode read(Path file) {
    JsonNode node;
    try {
      node = JSON.readTree(Files.readAllBytes(file));
    } catch (JsonProcessingException e) {
      var place = e.getLocation();
      throw HoldfastException.input(
              "%s: %snot valid JSON: %s; mend it or copy the file again",
              file,
              place == null
                  ? ""
                  : "line %d, column %d: ".formatted(place.getLineNr(), place.getColumnNr()),
              e.getOriginalMessage())
          .causedBy(e);
    } catch (IOException e) {
      throw HoldfastException.unreadable(file, e);
    }
    if (node instanceof ObjectNode object) {
      return object;
    }
    throw HoldfastException.input(
        "%s: holds no JSON object ({...}); mend it or copy the file again", file);
  }

  static void write(Path file, JsonNode node) {
    try {
      AtomicFile.write(file, JSON.writer(PRINTER).writeValueAsString(node) + "\n");
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("a tree is always JSON", e);
    }
  }
}
