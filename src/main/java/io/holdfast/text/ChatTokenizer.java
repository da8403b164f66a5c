package io.holdfast.text;

import io.holdfast.HoldfastException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Conversations to tokens, with the places that matter in them. Places come from the model's own
 * template, never from fixed offsets.
 */
public final class ChatTokenizer implements AutoCloseable {
  private final Tokenizer tokenizer;
  private ChatTemplate template;
  private int suffix = -1;

  /** A tokenizer with its template, which is read when a conversation first needs it. */
  public ChatTokenizer(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
  }

  /** The tokenizer and template of a model folder. */
  public static ChatTokenizer load(Path folder) {
    return new ChatTokenizer(Tokenizer.load(folder));
  }

  /** The tokenizer below. */
  public Tokenizer tokenizer() {
    return tokenizer;
  }

  /** The text of a conversation. */
  public String render(List<Message> messages, boolean addGenerationPrompt) {
    return template().render(messages, addGenerationPrompt);
  }

  private ChatTemplate template() {
    if (template == null) {
      template = ChatTemplate.load(tokenizer);
    }
    return template;
  }

  private int[] ids(List<Message> messages, boolean addGenerationPrompt) {
    // The template writes every special token itself; the tokenizer must not add a second BOS.
    return tokenizer.encode(render(messages, addGenerationPrompt), false);
  }

  /**
   * Tokens that follow the instruction in a prompt: the common suffix of two prompts that differ in
   * nothing but their instruction.
   */
  public int suffixLength() {
    if (suffix < 0) {
      int[] one = ids(List.of(new Message("user", "Describe the sea")), true);
      int[] other = ids(List.of(new Message("user", "Count 17 of them")), true);
      int common = 0;
      while (common < Math.min(one.length, other.length)
          && one[one.length - 1 - common] == other[other.length - 1 - common]) {
        common++;
      }
      suffix = common;
    }
    return suffix;
  }

  /**
   * A conversation as tokens.
   *
   * @param addGenerationPrompt whether it ends with the opening of an answer
   * @throws HoldfastException if the template refuses it, or writes an answer so that its tokens
   *     cannot be told from the prompt's
   */
  public Encoded encode(List<Message> messages, boolean addGenerationPrompt) {
    int[] ids = ids(messages, addGenerationPrompt);
    var assistant = new boolean[ids.length];
    int promptEnd = addGenerationPrompt ? ids.length - 1 : -1;
    for (int turn = 0; turn < messages.size(); turn++) {
      if (messages.get(turn).role().equals("assistant")) {
        int start = prefix(ids, messages.subList(0, turn), true, turn);
        int end = end(ids, messages, turn);
        Arrays.fill(assistant, start, end, true);
        promptEnd = addGenerationPrompt ? promptEnd : start - 1;
      }
    }
    int instructionEnd =
        promptEnd >= suffixLength() && lastBeforeAnswer(messages).equals("user")
            ? promptEnd - suffixLength()
            : -1;
    return new Encoded(ids, assistant, instructionEnd, promptEnd);
  }

  private static String lastBeforeAnswer(List<Message> messages) {
    int last = messages.size() - 1;
    if (last > 0 && messages.get(last).role().equals("assistant")) {
      last--;
    }
    return messages.get(last).role();
  }

  /** Length of the tokens of the first turns, which must begin the whole conversation. */
  private int prefix(int[] ids, List<Message> turns, boolean generation, int turn) {
    int[] part = turns.isEmpty() ? new int[0] : ids(turns, generation);
    int differs = Arrays.mismatch(part, ids);
    if (differs >= 0 && differs < part.length) {
      throw HoldfastException.input(
          "turn %d: the template writes the turns before this answer differently once it is there"
              + " (token %d), so its tokens cannot be found. Give such rows as prompt and"
              + " completion.",
          turn + 1, differs);
    }
    return part.length;
  }

  /** One past the end-of-turn token of an answer: white space that follows it is not learnt. */
  private int end(int[] ids, List<Message> messages, int turn) {
    int end = prefix(ids, messages.subList(0, turn + 1), false, turn);
    int cut = end;
    while (cut > 0 && !tokenizer.isAdded(ids[cut - 1]) && isBlank(ids[cut - 1])) {
      cut--;
    }
    return cut > 0 && tokenizer.isAdded(ids[cut - 1]) ? cut : end;
  }

  private boolean isBlank(int id) {
    return tokenizer.decode(new int[] {id}, false).isBlank();
  }

  /** A prompt and its completion as a conversation of two turns. */
  public static List<Message> conversation(String prompt, String completion) {
    var turns = new ArrayList<Message>();
    turns.add(new Message("user", prompt));
    turns.add(new Message("assistant", completion));
    return turns;
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
