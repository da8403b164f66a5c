package io.holdfast.text;

import java.util.Arrays;
import java.util.List;

/**
 * Texts that end a continuation as soon as its decoded text contains one of them, also where it
 * lies across tokens or its characters are spread over several.
 *
 * @param texts none of them empty
 * @param tokenizer turns the tokens into text, in which special tokens leave no trace
 */
public record StopStrings(List<String> texts, Tokenizer tokenizer) {
  /** Nothing. */
  public static final StopStrings NONE = new StopStrings(List.of(), null);

  /** A character of UTF-8 has four bytes at most: more tokens than that are no character. */
  private static final int LONGEST_CHARACTER = 4;

  private static final String UNFINISHED = "\uFFFD";

  /** Checks the texts. */
  public StopStrings {
    texts = List.copyOf(texts);
    if (texts.contains("")) {
      throw new IllegalArgumentException("an empty text ends everything");
    }
  }

  /** The text before the first of the stop strings, or all of it. */
  public String before(String text) {
    int end = first(text);
    return end < 0 ? text : text.substring(0, end);
  }

  /** Watches one continuation from its first token. */
  public Watch watch() {
    return new Watch();
  }

  private int first(String text) {
    return texts.stream().mapToInt(text::indexOf).filter(i -> i >= 0).min().orElse(-1);
  }

  /**
   * One continuation. Tokens are decoded together with those just before them, because what a token
   * says may depend on these, but not with all: a long text would be decoded again for each token.
   */
  public final class Watch {
    private int[] ids = new int[16];
    private int count;
    // The text of ids[0..settled) is known; what follows is still a part of a character.
    private int settled;
    private String known = "";
    private String tail = "";

    /** Takes the next token; whether a stop string is there now. */
    public boolean endsWith(int id) {
      if (texts.isEmpty()) {
        return false;
      }
      ids = count == ids.length ? Arrays.copyOf(ids, 2 * count) : ids;
      ids[count++] = id;
      var window = decode(0, count);
      var text = tail + window.substring(Math.min(known.length(), window.length()));
      if (first(text) >= 0) {
        return true;
      }
      if (!window.endsWith(UNFINISHED) || count - settled > LONGEST_CHARACTER) {
        settle(text, window);
      }
      return false;
    }

    private void settle(String text, String window) {
      int longest = texts.stream().mapToInt(String::length).max().orElse(0);
      tail = text.substring(Math.max(0, text.length() - (longest - 1)));
      known = window;
      var newest = decode(settled, count);
      // Tokens that say nothing are no context: decoders take what follows them for a beginning.
      if (!newest.isEmpty()) {
        known = newest;
        ids = Arrays.copyOfRange(ids, settled, settled + ids.length);
        count -= settled;
      }
      settled = count;
    }

    private String decode(int from, int to) {
      return tokenizer.decode(Arrays.copyOfRange(ids, from, to), true);
    }
  }
}
