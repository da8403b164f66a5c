package io.holdfast.data;

import java.util.Arrays;

/**
 * A row as the trainer sees it.
 *
 * @param id its name
 * @param ids token ids
 * @param target whether a token is learnt, that is, predicted from those before it; never the first
 * @param instructionEnd last token of the last user turn's content, or -1
 * @param promptEnd last token before the answer, generation prompt included, or -1
 * @param risk recorded risk in 0..1, or NaN
 * @param place where the row stands
 */
public record Example(
    String id,
    int[] ids,
    boolean[] target,
    int instructionEnd,
    int promptEnd,
    float risk,
    Place place) {
  /** Checks that every token has its target. */
  public Example {
    if (target.length != ids.length) {
      throw new IllegalArgumentException(
          "%d ids but %d targets".formatted(ids.length, target.length));
    }
  }

  /** Number of tokens. */
  public int length() {
    return ids.length;
  }

  /** Number of tokens that are learnt. */
  public int supervised() {
    int count = 0;
    for (int i = 1; i < target.length; i++) {
      count += target[i] ? 1 : 0;
    }
    return count;
  }

  /** The same row with another risk. */
  public Example withRisk(float newRisk) {
    return new Example(id, ids, target, instructionEnd, promptEnd, newRisk, place);
  }

  /** The same prompt with tokens behind it that are learnt. */
  public Example answered(int[] answer) {
    int[] whole = Arrays.copyOf(ids, ids.length + answer.length);
    System.arraycopy(answer, 0, whole, ids.length, answer.length);
    var learnt = new boolean[whole.length];
    Arrays.fill(learnt, ids.length, whole.length, true);
    return new Example(id, whole, learnt, instructionEnd, promptEnd, risk, place);
  }

  /** The same row, at most so many tokens long. */
  Example first(int length) {
    return ids.length <= length
        ? this
        : new Example(
            id,
            Arrays.copyOf(ids, length),
            Arrays.copyOf(target, length),
            instructionEnd < length ? instructionEnd : -1,
            promptEnd < length ? promptEnd : -1,
            risk,
            place);
  }
}
