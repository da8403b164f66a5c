package io.holdfast.data;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.text.Message;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Turns of conversations in JSON. */
final class Conversations {
  private static final ObjectMapper JSON = new ObjectMapper();

  private Conversations() {}

  /** {@code [{"role", "content", ...}, ...]}; every field is passed on to the template. */
  static List<Message> messages(JsonNode turns, String field, Place place) {
    var messages = new ArrayList<Message>();
    for (var turn : list(turns, field, place)) {
      int number = messages.size() + 1;
      if (!turn.path("role").isTextual()) {
        throw place.bad("field '%s': turn %d has no text 'role'", field, number);
      }
      var content = turn.path("content");
      boolean silent = content.isNull() || content.isMissingNode();
      if (!(content.isTextual() || content.isContainerNode() || silent && turn.has("tool_calls"))) {
        throw place.bad("field '%s': turn %d has no text 'content'", field, number);
      }
      messages.add(message(turn));
    }
    return messages;
  }

  /**
   * ShareGPT's {@code [{"from": "human"|"gpt"|"system"|"tool", "value"}, ...]}; turns with {@code
   * role} and {@code content} under ShareGPT's name are read as what they are.
   */
  static List<Message> shareGpt(JsonNode turns, String field, Place place) {
    if (turns.path(0).has("role")) {
      return messages(turns, field, place);
    }
    var messages = new ArrayList<Message>();
    for (var turn : list(turns, field, place)) {
      int number = messages.size() + 1;
      var role =
          switch (turn.path("from").asText()) {
            case "human", "user" -> "user";
            case "gpt", "assistant" -> "assistant";
            case "system" -> "system";
            case "tool", "function", "observation" -> "tool";
            default ->
                throw place.bad(
                    "field '%s': turn %d: 'from' must be human, gpt, system or tool",
                    field, number);
          };
      if (!turn.path("value").isTextual()) {
        throw place.bad("field '%s': turn %d has no text 'value'", field, number);
      }
      messages.add(new Message(role, turn.get("value").textValue()));
    }
    return messages;
  }

  /** JSON as maps, lists, text, numbers and booleans. */
  static Object plain(JsonNode json) {
    return JSON.convertValue(json, Object.class);
  }

  private static JsonNode list(JsonNode turns, String field, Place place) {
    if (!turns.isArray() || turns.isEmpty()) {
      throw place.bad(
          "field '%s' must be a list of turns%s",
          field, turns.isTextual() ? ", or the JSON of one; the text here is not JSON" : "");
    }
    return turns;
  }

  private static Message message(JsonNode turn) {
    var fields = new LinkedHashMap<String, Object>();
    ((Map<?, ?>) plain(turn)).forEach((key, value) -> fields.put(key.toString(), value));
    return new Message(fields);
  }
}
