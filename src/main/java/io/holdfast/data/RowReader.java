package io.holdfast.data;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.text.Encoded;
import io.holdfast.text.Message;
import io.holdfast.text.Row;
import java.util.ArrayList;
import java.util.List;

/**
 * Rows in the shapes people have them, told apart by the fields that are there:
 *
 * <pre>
 * {"tokens": [..]}                                        ids as they are
 * {"messages": [{"role", "content"}..],                   by the chat template
 *    "add_generation_prompt"?}
 * {"conversations": [{"from", "value"}..], "system"?}     ShareGPT's form of the same
 * {"prompt", "completion", "system"?}                     a chat of two turns, or lists of turns
 * {"prompt", "completion", "raw": true}                   as they are, nothing added
 * {"instruction", "input"?, "output", "system"?}          Alpaca: a chat of two turns
 * {"instruction", "context"?, "response", "system"?}      Dolly: the same
 * {"text"}                                                plain text
 * </pre>
 *
 * What goes through the chat template may come with {@code tools}, {@code documents} and {@code
 * chat_template_kwargs}, which the template is told. Where the model has no chat template, a prompt
 * and its completion are joined as plain text, the end-of-sequence token after them.
 */
public final class RowReader {
  private final ChatTokenizer chat;
  private final Columns columns;

  /**
   * A reader for one model's tokens.
   *
   * @param chat may be null where only {@link #row} is asked for; prompts then are chats
   */
  public RowReader(ChatTokenizer chat) {
    this(chat, Columns.AS_THEY_ARE);
  }

  /** A reader for one model's tokens, of rows whose columns may have other names. */
  public RowReader(ChatTokenizer chat, Columns columns) {
    this.chat = chat;
    this.columns = columns;
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

  /**
   * What a row says, before it is tokens.
   *
   * @throws HoldfastException if it has no known shape, or several
   */
  public Row row(ObjectNode named, Place place) {
    var json = columns.rename(named, place);
    var fields = new Fields(json, place);
    return switch (Shape.of(json, place)) {
      case TOKENS -> new Row.Tokens(tokens(fields));
      case MESSAGES -> {
        var messages = Conversations.messages(fields.structure("messages"), "messages", place);
        yield new Row.Chat(
            messages, TemplateVariables.of(fields), fields.flag("add_generation_prompt"));
      }
      case CONVERSATIONS -> {
        var turns =
            Conversations.shareGpt(fields.structure("conversations"), "conversations", place);
        turns.addAll(0, system(fields));
        yield new Row.Chat(
            turns, TemplateVariables.of(fields), fields.flag("add_generation_prompt"));
      }
      case COMPLETION ->
          json.get("prompt").isArray()
              ? new Row.Chat(turns(json, place), TemplateVariables.of(fields), false)
              : folded(fields, fields.text("prompt"), fields.text("completion"));
      case ALPACA -> folded(fields, joined(fields, "input"), fields.text("output"));
      case DOLLY -> folded(fields, joined(fields, "context"), fields.text("response"));
      case TEXT -> new Row.Text(fields.text("text"));
    };
  }

  /** An instruction with what it is about, an empty line between them. */
  private static String joined(Fields fields, String about) {
    var instruction = fields.text("instruction");
    var context = fields.textOrBlank(about);
    return context.isBlank() ? instruction : instruction + "\n\n" + context;
  }

  private Row folded(Fields fields, String prompt, String completion) {
    var system = system(fields);
    boolean raw = fields.flag("raw");
    if (raw || chat != null && !chat.hasTemplate()) {
      if (!system.isEmpty()) {
        throw fields
            .place()
            .bad(
                "'system' needs a chat template, and %s; put it into the prompt",
                raw ? "the row is raw" : "the model has none");
      }
      return new Row.Continuation(prompt, completion, !raw);
    }
    var turns = new ArrayList<>(system);
    turns.add(new Message("user", prompt));
    turns.add(new Message("assistant", completion));
    return new Row.Chat(turns, TemplateVariables.of(fields), false);
  }

  /** The system turn that a row states in a field of its own, if it does. */
  private static List<Message> system(Fields fields) {
    var system = fields.textOrBlank("system");
    return system.isBlank() ? List.of() : List.of(new Message("system", system));
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

  private static int[] tokens(Fields fields) {
    var array = fields.structure("tokens");
    if (!array.isArray() || array.isEmpty()) {
      throw fields.place().bad("'tokens' must be a list of token ids, one at least");
    }
    var ids = new int[array.size()];
    for (int i = 0; i < ids.length; i++) {
      var id = array.get(i);
      if (!id.isIntegralNumber() || !id.canConvertToInt() || id.intValue() < 0) {
        throw fields.place().bad("tokens[%d] is %s, not a token id", i, id);
      }
      ids[i] = id.intValue();
    }
    return ids;
  }
}
