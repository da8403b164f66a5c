package io.holdfast.data;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.text.Encoded;
import io.holdfast.text.Message;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * One JSON row as tokens, in the shapes people have:
 *
 * <pre>
 * {"messages": [{"role", "content"}..], "add_generation_prompt": true}   by the chat template
 * {"prompt", "completion"}                                              a chat of two turns
 * {"instruction", "input"?, "output"}                                   likewise
 * {"prompt", "completion", "raw": true}                                 as they are, no template
 * {"text"}                                                              plain text
 * {"tokens": [..]}                                                      ids as they are
 * </pre>
 */
public final class RowReader {
  private static final String SHAPES =
      "messages; prompt and completion; instruction and output; text; tokens";

  private final ChatTokenizer chat;

  /** A reader for one model's tokens. */
  public RowReader(ChatTokenizer chat) {
    this.chat = chat;
  }

  /**
   * The tokens of a row.
   *
   * @throws HoldfastException that names the place and the field
   */
  public Encoded read(ObjectNode row, Place place) {
    try {
      if (row.has("messages")) {
        boolean generation = row.path("add_generation_prompt").asBoolean(false);
        return chat.encode(messages(row.get("messages"), place), generation);
      }
      if (row.has("tokens")) {
        return tokens(row.get("tokens"), place);
      }
      if (row.has("prompt") && row.has("completion")) {
        var prompt = text(row, "prompt", place);
        var completion = text(row, "completion", place);
        return row.path("raw").asBoolean(false)
            ? raw(prompt, completion)
            : chat.encode(ChatTokenizer.conversation(prompt, completion), false);
      }
      if (row.has("instruction") && row.has("output")) {
        var input = row.has("input") ? text(row, "input", place) : "";
        var instruction = text(row, "instruction", place);
        var prompt = input.isBlank() ? instruction : instruction + "\n\n" + input;
        return chat.encode(ChatTokenizer.conversation(prompt, text(row, "output", place)), false);
      }
      if (row.has("text")) {
        return plain(chat.tokenizer().encode(text(row, "text", place), true));
      }
    } catch (HoldfastException e) {
      throw e.getMessage().startsWith(place.toString())
          ? e
          : HoldfastException.input("%s: %s", place, e.getMessage()).causedBy(e);
    }
    var fields = new ArrayList<String>();
    row.fieldNames().forEachRemaining(fields::add);
    throw HoldfastException.input(
        "%s: a row with the fields %s; rows have %s",
        place, fields.isEmpty() ? "(none)" : String.join(", ", fields), SHAPES);
  }

  /** The turns of a {@code messages} field. */
  public static List<Message> messages(JsonNode array, Place place) {
    if (!array.isArray() || array.isEmpty()) {
      throw HoldfastException.input("%s: messages must be a list of turns", place);
    }
    var messages = new ArrayList<Message>();
    for (var turn : array) {
      if (!turn.path("role").isTextual() || !turn.path("content").isTextual()) {
        throw HoldfastException.input(
            "%s: turn %d of messages needs a role and a content, both text",
            place, messages.size() + 1);
      }
      messages.add(new Message(turn.get("role").asText(), turn.get("content").asText()));
    }
    return messages;
  }

  private Encoded raw(String prompt, String completion) {
    int[] first = chat.tokenizer().encode(prompt, false);
    int[] second = chat.tokenizer().encode(completion, false);
    int[] ids = IntStream.concat(Arrays.stream(first), Arrays.stream(second)).toArray();
    var assistant = new boolean[ids.length];
    Arrays.fill(assistant, first.length, ids.length, true);
    return new Encoded(ids, assistant, -1, first.length - 1);
  }

  private static Encoded plain(int[] ids) {
    return new Encoded(ids, new boolean[ids.length], -1, -1);
  }

  private static Encoded tokens(JsonNode array, Place place) {
    var ids = new int[array.size()];
    for (int i = 0; i < ids.length; i++) {
      if (!array.get(i).canConvertToInt() || array.get(i).asInt() < 0) {
        throw HoldfastException.input(
            "%s: tokens[%d] is %s, not a token id", place, i, array.get(i));
      }
      ids[i] = array.get(i).asInt();
    }
    if (ids.length == 0) {
      throw HoldfastException.input("%s: tokens is empty", place);
    }
    return plain(ids);
  }

  private static String text(ObjectNode row, String field, Place place) {
    if (!row.get(field).isTextual()) {
      throw HoldfastException.input("%s: %s must be text, not %s", place, field, row.get(field));
    }
    return row.get(field).asText();
  }
}
