package io.holdfast.text;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** The small JSON files of a model folder that may be absent but not broken. */
final class JsonFile {
  private static final ObjectMapper JSON = new ObjectMapper();

  private JsonFile() {}

  static Optional<ObjectNode> read(Path file) {
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    try {
      var json = JSON.readTree(file.toFile());
      if (json instanceof ObjectNode object) {
        return Optional.of(object);
      }
      throw HoldfastException.input("%s: is not a JSON object", file);
    } catch (JsonProcessingException e) {
      throw HoldfastException.input(
              "%s: line %d: is not JSON (%s). The file is damaged; copy it again.",
              file, e.getLocation().getLineNr(), e.getOriginalMessage())
          .causedBy(e);
    } catch (IOException e) {
      throw HoldfastException.unreadable(file, e);
    }
  }
}
