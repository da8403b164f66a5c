package io.holdfast.data;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.function.BiConsumer;

/**
 * Reads rows one by one, from JSON Lines (one object a line) or from a JSON array of objects, so
 * that a file may be larger than memory.
 */
public final class JsonLines implements Iterator<JsonLines.Row>, AutoCloseable {
  /** One object and where it stands. */
  public record Row(ObjectNode json, Place place) {}

  private static final ObjectMapper JSON =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  private static final ObjectMapper ELEMENT = new ObjectMapper();

  private final Path file;
  private final InputStream input;
  private JsonParser array;
  private int line;
  private Row next;

  private JsonLines(Path file, InputStream input) {
    this.file = file;
    this.input = input;
  }

  /** Hands over every row of a file with its place, in order. */
  public static void read(Path file, BiConsumer<ObjectNode, Place> action) {
    try (var rows = open(file)) {
      rows.forEachRemaining(row -> action.accept(row.json(), row.place()));
    }
  }

  /** Opens a file. */
  public static JsonLines open(Path file) {
    if (!Files.isRegularFile(file)) {
      throw HoldfastException.input("%s: there is no such file", file);
    }
    try {
      var lines = new JsonLines(file, new BufferedInputStream(Files.newInputStream(file), 1 << 16));
      if (lines.startsArray()) {
        lines.array = JSON.createParser(lines.input);
        lines.array.nextToken();
      }
      return lines;
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  /** Looks ahead, past blanks and a byte order mark, which it leaves out. */
  private boolean startsArray() throws IOException {
    input.mark(3);
    if (input.read() != 0xEF || input.read() != 0xBB || input.read() != 0xBF) {
      input.reset();
    }
    input.mark(1 << 16);
    int c = input.read();
    while (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      c = input.read();
    }
    input.reset();
    return c == '[';
  }

  @Override
  public boolean hasNext() {
    if (next == null) {
      try {
        next = array == null ? nextLine() : nextElement();
      } catch (JsonProcessingException e) {
        throw broken(e);
      } catch (IOException e) {
        throw unreadable(file, e);
      }
    }
    return next != null;
  }

  @Override
  public Row next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    var row = next;
    next = null;
    return row;
  }

  private Row nextLine() throws IOException {
    var bytes = new ByteArrayOutputStream();
    int c = 0;
    while (c >= 0) {
      bytes.reset();
      line++;
      boolean blank = true;
      for (c = input.read(); c >= 0 && c != '\n'; c = input.read()) {
        bytes.write(c);
        blank &= c == ' ' || c == '\t' || c == '\r';
      }
      if (!blank) {
        return row(JSON.readTree(bytes.toByteArray()));
      }
    }
    return null;
  }

  private Row nextElement() throws IOException {
    if (array.nextToken() == JsonToken.END_ARRAY) {
      return null;
    }
    if (array.currentToken() == null) {
      throw HoldfastException.input("%s: the JSON array does not end; the file is cut short", file);
    }
    line = array.currentTokenLocation().getLineNr();
    return row(ELEMENT.readTree(array));
  }

  private Row row(JsonNode json) {
    var place = new Place(file, line);
    if (json instanceof ObjectNode object) {
      return new Row(object, place);
    }
    throw place.bad("is not a JSON object");
  }

  private HoldfastException broken(JsonProcessingException e) {
    boolean lines = array == null;
    int at = lines ? line : e.getLocation().getLineNr();
    return HoldfastException.input(
            "%s: column %d: is not JSON (%s); %s",
            new Place(file, at),
            e.getLocation().getColumnNr(),
            e.getOriginalMessage(),
            lines ? "each line must be one whole object" : "the file must be one array of objects")
        .causedBy(e);
  }

  private static HoldfastException unreadable(Path file, IOException e) {
    return HoldfastException.input("%s: cannot be read (%s)", file, e.getMessage()).causedBy(e);
  }

  @Override
  public void close() {
    try {
      input.close();
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }
}
