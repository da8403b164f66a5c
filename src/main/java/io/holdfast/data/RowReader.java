package io.holdfast.data;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.text.Encoded;
import io.holdfast.text.Message;
import io.holdfast.text.Row;
import java.util.ArrayList;
import java.util.List;

/**
 * JSON rows in the shapes people have them, the first whose fields are there:
 *
 * <pre>
 * {"tokens": [..]}                                        ids as they are
 * {"messages": [{"role", "content"}..],                   by the chat template
 *    "add_generation_prompt"?, "tools"?}
 * {"conversations": [{"from", "value"}..]}                ShareGPT's form of the same
 * {"prompt", "completion"}                                a chat of two turns, or lists of turns
 * {"prompt", "completion", "raw": true}                   as they are, nothing added
 * {"instruction", "input"?, "output"}                     a chat of two turns
 * {"text"}                                                plain text
 * </pre>
 *
 * Where the model has no chat template, a prompt and its completion are joined as plain text, the
 * end-of-sequence token after them.
 */
public final class RowReader {
  private static final String SHAPES =
      "tokens; messages; conversations; prompt and completion; instruction and output; text";

  private final ChatTokenizer chat;

  /** A reader for one model's tokens. */
  public RowReader(ChatTokenizer chat) {
    this.chat = chat;
  }

  /** The tokenizer below. */
  public ChatTokenizer tokenizer() {
    return chat;
  }

  /**
   * The tokens of a row.
   *
   * @throws HoldfastException that names the place and the field
   */
  public Encoded read(ObjectNode json, Place place) {
    var row = row(json, place);
    try {
      return chat.encode(row);
    } catch (HoldfastException e) {
      throw place.bad(e);
    }
  }

  /** What a row says, before it is tokens. */
  public Row row(ObjectNode json, Place place) {
    if (json.hasNonNull("tokens")) {
      return new Row.Tokens(tokens(json.get("tokens"), place));
    }
    if (json.hasNonNull("messages")) {
      var messages = Conversations.messages(json.get("messages"), "messages", place);
      return new Row.Chat(messages, tools(json), flag(json, "add_generation_prompt", place));
    }
    if (json.hasNonNull("conversations")) {
      var turns = Conversations.shareGpt(json.get("conversations"), "conversations", place);
      return new Row.Chat(turns, tools(json), flag(json, "add_generation_prompt", place));
    }
    if (json.hasNonNull("prompt") && json.has("completion")) {
      return json.get("prompt").isArray()
          ? new Row.Chat(turns(json, place), tools(json), false)
          : folded(json, text(json, "prompt", place), text(json, "completion", place), place);
    }
    if (json.hasNonNull("instruction") && json.has("output")) {
      var input = json.hasNonNull("input") ? text(json, "input", place) : "";
      var instruction = text(json, "instruction", place);
      var prompt = input.isBlank() ? instruction : instruction + "\n\n" + input;
      return folded(json, prompt, text(json, "output", place), place);
    }
    if (json.hasNonNull("text")) {
      return new Row.Text(text(json, "text", place));
    }
    var fields = new ArrayList<String>();
    json.fieldNames().forEachRemaining(fields::add);
    throw place.bad(
        "a row with the fields %s; rows have %s",
        fields.isEmpty() ? "(none)" : String.join(", ", fields), SHAPES);
  }

  private Row folded(ObjectNode json, String prompt, String completion, Place place) {
    if (flag(json, "raw", place)) {
      return new Row.Continuation(prompt, completion, false);
    }
    if (chat.hasTemplate()) {
      return new Row.Chat(
          List.of(new Message("user", prompt), new Message("assistant", completion)), false);
    }
    return new Row.Continuation(prompt, completion, true);
  }

  private static List<Message> turns(ObjectNode json, Place place) {
    var turns = Conversations.messages(json.get("prompt"), "prompt", place);
    if (json.get("completion").isTextual()) {
      turns.add(new Message("assistant", json.get("completion").textValue()));
    } else {
      turns.addAll(Conversations.messages(json.get("completion"), "completion", place));
    }
    return turns;
  }

  private static List<Object> tools(ObjectNode json) {
    var tools = new ArrayList<Object>();
    json.path("tools").forEach(tool -> tools.add(Conversations.plain(tool)));
    return tools;
  }

  private static int[] tokens(JsonNode array, Place place) {
    if (!array.isArray() || array.isEmpty()) {
      throw place.bad("'tokens' must be a list of token ids, one at least");
    }
    var ids = new int[array.size()];
    for (int i = 0; i < ids.length; i++) {
      var id = array.get(i);
      if (!id.isIntegralNumber() || !id.canConvertToInt() || id.intValue() < 0) {
        throw place.bad("tokens[%d] is %s, not a token id", i, id);
      }
      ids[i] = id.intValue();
    }
    return ids;
  }

  private static String text(ObjectNode json, String field, Place place) {
    if (!json.get(field).isTextual()) {
      throw place.bad("'%s' must be text, not %s", field, json.get(field));
    }
    return json.get(field).textValue();
  }

  private static boolean flag(ObjectNode json, String field, Place place) {
    if (json.hasNonNull(field) && !json.get(field).isBoolean()) {
      throw place.bad("'%s' must be true or false, not %s", field, json.get(field));
    }
    return json.path(field).asBoolean(false);
  }
}
