package io.holdfast.data;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.function.BiConsumer;

/** Rows of JSON: one object a line, or one array of objects. */
public final class JsonLines {
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  private JsonLines() {}

  /**
   * Hands over every row with its place, in order; blank lines are skipped.
   *
   * @throws HoldfastException that names file, line and column of what is not JSON
   */
  public static void read(Path file, BiConsumer<ObjectNode, Place> row) {
    try (var lines = Files.newBufferedReader(file)) {
      if (beginsAsArray(lines)) {
        array(file, row);
        return;
      }
      long number = 0;
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        number++;
        if (!line.isBlank()) {
          var place = new Place(file, number);
          row.accept(object(parse(line, place), place), place);
        }
      }
    } catch (NoSuchFileException e) {
      throw HoldfastException.input("%s: there is no such file", file);
    } catch (CharacterCodingException e) {
      throw HoldfastException.input("%s: not UTF-8 text; convert it", file);
    } catch (IOException e) {
      throw HoldfastException.input("%s: cannot be read (%s)", file, e.getMessage()).causedBy(e);
    }
  }

  private static boolean beginsAsArray(BufferedReader reader) throws IOException {
    reader.mark(1 << 16);
    int c = reader.read();
    for (int i = 0; i < 1 << 15 && (Character.isWhitespace(c) || c == '\uFEFF'); i++) {
      c = reader.read();
    }
    reader.reset();
    return c == '[';
  }

  private static void array(Path file, BiConsumer<ObjectNode, Place> row) throws IOException {
    try {
      long number = 0;
      for (var element : JSON.readTree(file.toFile())) {
        var place = new Place(file, ++number);
        row.accept(object(element, place), place);
      }
    } catch (JacksonException e) {
      var at = e.getLocation();
      throw HoldfastException.input(
          "%s:%d:%d: not JSON: %s", file, at.getLineNr(), at.getColumnNr(), e.getOriginalMessage());
    }
  }

  private static JsonNode parse(String line, Place place) {
    try {
      return JSON.readTree(line);
    } catch (JacksonException e) {
      JsonLocation at = e.getLocation();
      throw HoldfastException.input(
          "%s:%d: not JSON: %s. Each line must be one whole object.",
          place, at == null ? 1 : at.getColumnNr(), e.getOriginalMessage());
    }
  }

  private static ObjectNode object(JsonNode node, Place place) {
    if (node instanceof ObjectNode object) {
      return object;
    }
    throw HoldfastException.input("%s: a row must be a JSON object, not %s", place, node);
  }
}
