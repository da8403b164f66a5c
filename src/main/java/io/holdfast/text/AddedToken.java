package io.holdfast.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * A token that is looked for in the text before the model of the tokenizer sees what is between.
 *
 * @param singleWord only where no letter touches it
 * @param lstrip takes the blanks before it along
 * @param rstrip takes the blanks after it along
 * @param normalized looked for in the normalized text
 * @param special leaves no trace in text that is decoded without special tokens
 */
record AddedToken(
    String content,
    boolean singleWord,
    boolean lstrip,
    boolean rstrip,
    boolean normalized,
    boolean special) {

  /** A special token of which only the text is known. */
  static AddedToken special(String content) {
    return new AddedToken(content, false, false, false, false, true);
  }

  /** A token in the form that {@code tokenizer.json} and the smaller files have for it. */
  static AddedToken of(JsonNode json) {
    boolean special = json.path("special").asBoolean(false);
    return new AddedToken(
        json.path("content").asText(),
        json.path("single_word").asBoolean(false),
        json.path("lstrip").asBoolean(false),
        json.path("rstrip").asBoolean(false),
        json.path("normalized").asBoolean(!special),
        special);
  }

  AddedToken asSpecial() {
    return new AddedToken(content, singleWord, lstrip, rstrip, normalized, true);
  }

  ObjectNode json(int id) {
    return JsonNodeFactory.instance
        .objectNode()
        .put("id", id)
        .put("content", content)
        .put("single_word", singleWord)
        .put("lstrip", lstrip)
        .put("rstrip", rstrip)
        .put("normalized", normalized)
        .put("special", special);
  }
}
