package io.holdfast.text;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;

/**
 * Names and ids of all tokens, added tokens included.
 *
 * @param added ids of the added tokens, such as an end of turn
 * @param size one more than the largest id
 */
record Vocabulary(Map<String, Integer> ids, Set<Integer> added, int size) {
  /** Streams through {@code tokenizer.json}, which can hold hundreds of thousands of entries. */
  static Vocabulary read(Path file, byte[] bytes) throws IOException {
    var ids = new HashMap<String, Integer>();
    var added = new HashSet<Integer>();
    try (var json = new JsonFactory().createParser(bytes)) {
      if (json.nextToken() != JsonToken.START_OBJECT) {
        throw HoldfastException.input("%s: is not a JSON object", file);
      }
      while (json.nextToken() == JsonToken.FIELD_NAME) {
        var field = json.currentName();
        var value = json.nextToken();
        if (field.equals("added_tokens") && value == JsonToken.START_ARRAY) {
          addedTokens(json, ids, added);
        } else if (field.equals("model") && value == JsonToken.START_OBJECT) {
          model(json, ids);
        } else {
          json.skipChildren();
        }
      }
    } catch (JsonProcessingException e) {
      throw HoldfastException.input(
              "%s: line %d: is not JSON (%s). The file is damaged; copy it again.",
              file, e.getLocation().getLineNr(), e.getOriginalMessage())
          .causedBy(e);
    }
    int largest = ids.values().stream().mapToInt(Integer::intValue).max().orElse(-1);
    return new Vocabulary(ids, added, largest + 1);
  }

  OptionalInt id(String token) {
    var id = ids.get(token);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  private static void model(JsonParser json, Map<String, Integer> ids) throws IOException {
    while (json.nextToken() == JsonToken.FIELD_NAME) {
      var field = json.currentName();
      var value = json.nextToken();
      if (!field.equals("vocab")) {
        json.skipChildren();
      } else if (value == JsonToken.START_OBJECT) {
        while (json.nextToken() == JsonToken.FIELD_NAME) {
          var token = json.currentName();
          json.nextToken();
          ids.put(token, json.getIntValue());
        }
      } else {
        scored(json, ids);
      }
    }
  }

  /** Unigram models list {@code [token, score]}; the place in the list is the id. */
  private static void scored(JsonParser json, Map<String, Integer> ids) throws IOException {
    for (int id = 0; json.nextToken() == JsonToken.START_ARRAY; id++) {
      json.nextToken();
      ids.put(json.getText(), id);
      while (json.nextToken() != JsonToken.END_ARRAY) {
        json.skipChildren();
      }
    }
  }

  private static void addedTokens(JsonParser json, Map<String, Integer> ids, Set<Integer> added)
      throws IOException {
    while (json.nextToken() == JsonToken.START_OBJECT) {
      String content = null;
      int id = -1;
      while (json.nextToken() == JsonToken.FIELD_NAME) {
        var field = json.currentName();
        json.nextToken();
        switch (field) {
          case "content" -> content = json.getText();
          case "id" -> id = json.getIntValue();
          default -> json.skipChildren();
        }
      }
      if (content != null && id >= 0) {
        ids.put(content, id);
        added.add(id);
      }
    }
  }
}
