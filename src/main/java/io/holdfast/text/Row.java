package io.holdfast.text;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

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
   * @param variables what the template is told beside the messages, in JSON's plain types: {@code
   *     tools}, {@code documents}, and whatever else it asks for
   */
  record Chat(List<Message> messages, Map<String, Object> variables, boolean addGenerationPrompt)
      implements Row {
    /** A conversation and nothing else. */
    public Chat(List<Message> messages, boolean addGenerationPrompt) {
      this(messages, Map.of(), addGenerationPrompt);
    }

    /** Whether the last message is an answer, and the assistant is not asked for another. */
    boolean endsWithAnswer() {
      return !messages.isEmpty() && messages.getLast().isAssistant() && !addGenerationPrompt;
    }

    /** The first messages of this conversation. */
    Chat first(int count, boolean addGenerationPrompt) {
      return new Chat(messages.subList(0, count), variables, addGenerationPrompt);
    }

    /** The same conversation with another message in one's place. */
    Chat with(int index, Message message) {
      var changed = new ArrayList<>(messages);
      changed.set(index, message);
      return new Chat(changed, variables, addGenerationPrompt);
    }
  }
}
