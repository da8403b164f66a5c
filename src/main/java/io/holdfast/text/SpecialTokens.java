package io.holdfast.text;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalInt;

/**
 * The special tokens that a model folder names, from {@code tokenizer_config.json} and the older
 * {@code special_tokens_map.json}; the former wins.
 *
 * @param text name ({@code bos_token}) to text ({@code <s>})
 */
record SpecialTokens(Map<String, String> text) {
  static SpecialTokens read(Path folder) {
    var text = new LinkedHashMap<String, String>();
    for (var file : new String[] {"special_tokens_map.json", "tokenizer_config.json"}) {
      JsonFile.read(folder.resolve(file)).ifPresent(json -> collect(json, text));
    }
    return new SpecialTokens(Map.copyOf(text));
  }

  private static void collect(JsonNode json, Map<String, String> text) {
    for (var field : json.properties()) {
      if (field.getKey().endsWith("_token")) {
        // Either the text itself or an object that describes an added token.
        var value =
            field.getValue().isObject() ? field.getValue().path("content") : field.getValue();
        if (value.isTextual()) {
          text.put(field.getKey(), value.textValue());
        }
      }
    }
  }

  OptionalInt id(String name, Vocabulary vocabulary) {
    var token = text.get(name);
    return token == null ? OptionalInt.empty() : vocabulary.id(token);
  }
}
