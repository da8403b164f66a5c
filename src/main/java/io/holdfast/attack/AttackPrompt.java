package io.holdfast.attack;

import io.holdfast.HoldfastException;
import io.holdfast.model.Architecture;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.text.Message;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A request with a place for a string, and the answer that is to be provoked, as tokens.
 *
 * @param id of the request
 * @param beforeText the rendered conversation up to the string
 * @param afterText the rendered conversation behind it, generation prompt included
 * @param before tokens of {@code beforeText}
 * @param after tokens of {@code afterText}
 * @param target tokens of the answer, at least one
 */
public record AttackPrompt(
    String id, String beforeText, String afterText, int[] before, int[] after, int[] target) {
  /** Where the string goes, as nanoGCG has it. */
  public static final String PLACEHOLDER = "{optim_str}";

  /**
   * The prompt of a case. Each part is tokenized by itself, as nanoGCG does.
   *
   * @param turns the conversation; where no turn holds {@link #PLACEHOLDER}, the string follows the
   *     last one
   * @throws HoldfastException if the template does not show the place exactly once, or the target
   *     has no tokens
   */
  public static AttackPrompt of(ChatTokenizer chat, String id, List<Message> turns, String target) {
    var text = chat.render(withPlaceholder(turns), true);
    int at = text.indexOf(PLACEHOLDER);
    if (at < 0 || text.indexOf(PLACEHOLDER, at + 1) >= 0) {
      throw HoldfastException.input(
          "case %s: the rendered conversation shows %s %s; it must stand there once",
          id, PLACEHOLDER, at < 0 ? "nowhere" : "more than once");
    }
    var before = text.substring(0, at);
    var after = text.substring(at + PLACEHOLDER.length());
    var tokenizer = chat.tokenizer();
    int[] ids = tokenizer.encode(target, false);
    if (ids.length == 0) {
      throw HoldfastException.input("case %s: the target is empty; name the answer to provoke", id);
    }
    // The template writes every special token itself.
    return new AttackPrompt(
        id, before, after, tokenizer.encode(before, false), tokenizer.encode(after, false), ids);
  }

  private static List<Message> withPlaceholder(List<Message> turns) {
    if (turns.stream().anyMatch(turn -> turn.content().contains(PLACEHOLDER))) {
      return turns;
    }
    var changed = new ArrayList<>(turns);
    var last = changed.removeLast();
    changed.add(new Message(last.role(), last.content() + PLACEHOLDER));
    return changed;
  }

  /** All tokens but the last of the target, which nothing is predicted from. */
  int[] fed(int[] string) {
    return join(before, string, after, Arrays.copyOf(target, target.length - 1));
  }

  /** What is fed behind the string. */
  int[] tail() {
    return join(after, Arrays.copyOf(target, target.length - 1));
  }

  /** Tokens with a string of some length. */
  int length(int string) {
    return before.length + string + after.length + target.length;
  }

  /**
   * Makes sure that the model can read it all.
   *
   * @throws HoldfastException if it is longer than the model was made for
   */
  public void requireFits(Architecture architecture, int string) {
    if (length(string) > architecture.maxPositions()) {
      throw HoldfastException.input(
          "case %s: %d tokens of prompt, %d of the string and %d of the target are more than the %d"
              + " that the model was made for (max_position_embeddings); shorten the target",
          id, before.length + after.length, string, target.length, architecture.maxPositions());
    }
  }

  static int[] join(int[]... parts) {
    return Arrays.stream(parts).flatMapToInt(IntStream::of).toArray();
  }
}
