package io.holdfast.data;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Optional;

/**
 * Rows of JSON: one object a line, an array of objects, or an object of which one field is such an
 * array ({@code {"version": 1, "data": [{...}, ...]}}).
 */
final class JsonRows extends Rows {
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  private static final ObjectMapper ELEMENT = new ObjectMapper();

  private final InputStream input;
  private JsonParser array;
  private int line;

  /** Lines, or an array. */
  JsonRows(Path file) throws IOException {
    this(file, Optional.empty());
  }

  /**
   * Rows of a file.
   *
   * @param container the field that holds the rows, where the file is one object
   */
  JsonRows(Path file, Optional<String> container) throws IOException {
    super(file);
    this.input = bytes(file);
    if (container.isPresent() || startsArray()) {
      array = JSON.createParser(input);
      array.nextToken();
      container.ifPresent(this::skipTo);
    }
  }

  /**
   * The field of a file's first object that holds rows: the only one that is an array of objects.
   * An object that is a row itself has none, for all that it may hold turns.
   */
  static Optional<String> container(Path file) throws IOException {
    var arrays = new ArrayList<String>();
    try (var parser = JSON.createParser(bytes(file))) {
      if (parser.nextToken() != JsonToken.START_OBJECT) {
        return Optional.empty();
      }
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        var name = parser.currentName();
        if (Shape.isField(name)) {
          return Optional.empty();
        }
        if (parser.nextToken() == JsonToken.START_ARRAY) {
          if (parser.nextToken() == JsonToken.START_OBJECT) {
            arrays.add(name);
          }
          toEndOfArray(parser);
        } else {
          parser.skipChildren();
        }
      }
    } catch (JsonProcessingException e) {
      // Reading the rows will say where it is broken.
      return arrays.stream().findFirst();
    }
    return arrays.size() == 1 ? Optional.of(arrays.getFirst()) : Optional.empty();
  }

  private static void toEndOfArray(JsonParser parser) throws IOException {
    while (parser.currentToken() != JsonToken.END_ARRAY && parser.currentToken() != null) {
      parser.skipChildren();
      parser.nextToken();
    }
  }

  private void skipTo(String container) {
    try {
      while (array.nextToken() == JsonToken.FIELD_NAME && !array.currentName().equals(container)) {
        array.nextToken();
        array.skipChildren();
      }
      array.nextToken();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Looks ahead, past blanks. */
  private boolean startsArray() throws IOException {
    input.mark(1 << 16);
    int c = input.read();
    while (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      c = input.read();
    }
    input.reset();
    return c == '[';
  }

  @Override
  Row advance() throws IOException {
    try {
      return array == null ? nextLine() : nextElement();
    } catch (JsonProcessingException e) {
      throw broken(e);
    }
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
      throw HoldfastException.input(
          "%s: the JSON array does not end; the file is cut short", file());
    }
    line = array.currentTokenLocation().getLineNr();
    return row(ELEMENT.readTree(array));
  }

  private Row row(JsonNode json) {
    var place = place(line);
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
            place(at),
            e.getLocation().getColumnNr(),
            e.getOriginalMessage(),
            lines ? "each line must be one whole object" : "the file must be one array of objects")
        .causedBy(e);
  }

  @Override
  public void close() {
    try {
      input.close();
    } catch (IOException e) {
      throw HoldfastException.unreadable(file(), e);
    }
  }
}
