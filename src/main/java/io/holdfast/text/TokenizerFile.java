package io.holdfast.text;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * {@code tokenizer.json}: what we need of it, and itself with other added tokens. It is streamed,
 * for it can hold hundreds of thousands of entries.
 *
 * @param model the kind of its model: {@code BPE}, {@code Unigram}
 * @param vocabulary the model's own tokens
 * @param added tokens that are added to them, by id
 * @param byteLevel whether it works on bytes in the way of GPT-2
 * @param padToken what it fills short rows with, if anything
 */
record TokenizerFile(
    byte[] bytes,
    String model,
    Map<String, Integer> vocabulary,
    TreeMap<Integer, AddedToken> added,
    boolean byteLevel,
    Optional<String> padToken) {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final JsonFactory FACTORY = JSON.getFactory();

  /**
   * Reads the file.
   *
   * @throws HoldfastException if it is not JSON
   */
  static TokenizerFile read(Path file, byte[] bytes) throws IOException {
    var vocabulary = new HashMap<String, Integer>();
    var added = new TreeMap<Integer, AddedToken>();
    var model = "";
    boolean byteLevel = false;
    Optional<String> pad = Optional.empty();
    try (var json = FACTORY.createParser(bytes)) {
      if (json.nextToken() != JsonToken.START_OBJECT) {
        throw HoldfastException.input("%s: is not a JSON object", file);
      }
      while (json.nextToken() == JsonToken.FIELD_NAME) {
        var field = json.currentName();
        json.nextToken();
        switch (field) {
          case "added_tokens" -> {
            for (var token : json.<JsonNode>readValueAsTree()) {
              added.put(token.path("id").asInt(), AddedToken.of(token));
            }
          }
          case "model" -> model = model(json, vocabulary);
          case "decoder" -> byteLevel = isByteLevel(json.readValueAsTree());
          case "padding" ->
              pad =
                  Optional.ofNullable(json.<JsonNode>readValueAsTree())
                      .map(padding -> padding.path("pad_token").textValue());
          default -> json.skipChildren();
        }
      }
    } catch (JsonProcessingException e) {
      throw HoldfastException.input(
              "%s: line %d: is not JSON (%s). The file is damaged; copy it again.",
              file, e.getLocation().getLineNr(), e.getOriginalMessage())
          .causedBy(e);
    }
    return new TokenizerFile(bytes, model, vocabulary, added, byteLevel, pad);
  }

  /** The file's text as it is. */
  String text() {
    return new String(bytes, StandardCharsets.UTF_8);
  }

  /**
   * The file's text with other added tokens, and with the parts of a class that has its own.
   *
   * @param tokens all added tokens, by id
   */
  String with(Map<Integer, AddedToken> tokens, Optional<TokenizerClass> own) {
    var parts = own.map(TokenizerClass::parts).orElseGet(JSON::createObjectNode);
    var out = new ByteArrayOutputStream(bytes.length + (1 << 16));
    try (var json = FACTORY.createParser(bytes);
        var copy = FACTORY.createGenerator(out)) {
      copy.writeStartObject();
      json.nextToken();
      while (json.nextToken() == JsonToken.FIELD_NAME) {
        var field = json.currentName();
        json.nextToken();
        copy.writeFieldName(field);
        if (field.equals("added_tokens")) {
          json.skipChildren();
          copy.writeStartArray();
          for (var token : tokens.entrySet()) {
            copy.writeTree(token.getValue().json(token.getKey()));
          }
          copy.writeEndArray();
        } else if (field.equals("model") && parts.has(field)) {
          copyWith((ObjectNode) parts.get(field), json, copy);
        } else if (parts.has(field)) {
          json.skipChildren();
          copy.writeTree(parts.get(field));
        } else {
          copy.copyCurrentStructure(json);
        }
      }
      copy.writeEndObject();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return out.toString(StandardCharsets.UTF_8);
  }

  /** An object with some of its fields replaced. */
  private static void copyWith(ObjectNode fields, JsonParser json, JsonGenerator copy)
      throws IOException {
    copy.writeStartObject();
    while (json.nextToken() == JsonToken.FIELD_NAME) {
      var field = json.currentName();
      json.nextToken();
      if (fields.has(field)) {
        json.skipChildren();
      } else {
        copy.writeFieldName(field);
        copy.copyCurrentStructure(json);
      }
    }
    for (var field : fields.properties()) {
      copy.writeFieldName(field.getKey());
      copy.writeTree(field.getValue());
    }
    copy.writeEndObject();
  }

  private static boolean isByteLevel(JsonNode decoder) {
    return decoder != null && decoder.findValuesAsText("type").contains("ByteLevel");
  }

  private static String model(JsonParser json, Map<String, Integer> ids) throws IOException {
    var type = "";
    while (json.nextToken() == JsonToken.FIELD_NAME) {
      var field = json.currentName();
      var value = json.nextToken();
      if (field.equals("type")) {
        type = json.getText();
      } else if (!field.equals("vocab")) {
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
    return type;
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
}
