package io.holdfast.text;

import io.holdfast.HoldfastException;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;

/**
 * What the template writes after an instruction, found by rendering two different instructions and
 * taking the longest common suffix; never a fixed number of tokens.
 */
final class PromptSuffix {
  private static final String ONE = "one";
  private static final String OTHER = "two";

  private final Function<Row.Chat, String> render;
  private final boolean generationPrompt;
  private volatile String usual;

  PromptSuffix(Function<Row.Chat, String> render, boolean generationPrompt) {
    this.render = render;
    this.generationPrompt = generationPrompt;
  }

  /** The suffix of a prompt that is one user turn. */
  String text() {
    if (usual == null) {
      var one = render.apply(question(ONE));
      usual = one.substring(one.length() - Common.suffix(one, render.apply(question(OTHER))));
    }
    return usual;
  }

  /** The longest common token suffix of two such prompts. */
  int[] ids(Function<String, int[]> encode) {
    int[] one = encode.apply(render.apply(question(ONE)));
    int[] other = encode.apply(render.apply(question(OTHER)));
    int n = 0;
    while (n < Math.min(one.length, other.length)
        && one[one.length - 1 - n] == other[other.length - 1 - n]) {
      n++;
    }
    return Arrays.copyOfRange(one, one.length - n, one.length);
  }

  /**
   * Where the last user turn's content ends.
   *
   * @param chat the whole conversation
   * @param text as it was rendered
   * @param promptEnd length of the prompt in the text
   * @return the index after its last character, -1 where nobody asked anything
   */
  int instructionEnd(Row.Chat chat, String text, int promptEnd) {
    int user = chat.messages().size() - 1;
    while (user >= 0 && !chat.messages().get(user).role().equals("user")) {
      user--;
    }
    if (user < 0) {
      return -1;
    }
    boolean answered = promptEnd < text.length();
    boolean last = user == chat.messages().size() - (answered ? 2 : 1);
    if (last && text.substring(0, promptEnd).endsWith(usual())) {
      return promptEnd - usual().length();
    }
    // Something stands between instruction and answer: ask this very conversation with an
    // instruction that ends otherwise.
    var asked = chat.messages().get(user);
    var changed =
        render.apply(
            chat.with(
                user, asked.withContent(asked.content().strip().endsWith("e") ? OTHER : ONE)));
    return text.length() - Common.suffix(text, changed);
  }

  /** The usual suffix; no text ends with what a template that refuses a lone question says. */
  private String usual() {
    try {
      return text();
    } catch (HoldfastException e) {
      return "\uFFFF";
    }
  }

  private Row.Chat question(String instruction) {
    return new Row.Chat(List.of(new Message("user", instruction)), generationPrompt);
  }
}
