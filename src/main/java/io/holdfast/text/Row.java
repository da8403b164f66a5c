package io.holdfast.text;

import java.util.ArrayList;
import java.util.List;

/** What can be turned into token ids. */
public sealed interface Row {
  /** Ids that are taken as they are. */
  record Tokens(int[] ids) implements Row {}

  /** Text that gets the special tokens which the tokenizer itself adds. */
  record Text(String text) implements Row {}

  /**
   * Text and its continuation, without a template. The continuation counts as said by the
   * assistant.
   *
   * @param whole whether this is all of a document: it then gets the special tokens that the
   *     tokenizer adds to plain text, and the end-of-sequence token at its end; otherwise nothing
   *     is added
   */
  record Continuation(String prompt, String completion, boolean whole) implements Row {}

  /**
   * A conversation that goes through the chat template and gets no special tokens on top.
   *
   * @param tools what the template is told of tools, in JSON's plain types; may be empty
   */
  record Chat(List<Message> messages, List<Object> tools, boolean addGenerationPrompt)
      implements Row {
    /** A conversation without tools. */
    public Chat(List<Message> messages, boolean addGenerationPrompt) {
      this(messages, List.of(), addGenerationPrompt);
    }

    /** The first messages of this conversation. */
    Chat first(int count, boolean addGenerationPrompt) {
      return new Chat(messages.subList(0, count), tools, addGenerationPrompt);
    }

    /** The same conversation, one message saying something else. */
    Chat with(int index, String content) {
      var changed = new ArrayList<>(messages);
      changed.set(index, changed.get(index).withContent(content));
      return new Chat(changed, tools, addGenerationPrompt);
    }
  }
}
