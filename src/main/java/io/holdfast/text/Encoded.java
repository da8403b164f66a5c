package io.holdfast.text;

import io.holdfast.HoldfastException;
import java.util.stream.IntStream;

/**
 * A row as token ids, with what the chat template says about them.
 *
 * @param ids token ids
 * @param text what was tokenized: the rendered conversation, or the text itself; for a row of ids
 *     what they stand for
 * @param assistant which tokens the assistant said, end of turn included
 * @param instructionEnd last token of the last user turn's content, -1 where there is none
 * @param promptEnd last token before the last answer, generation prompt included, -1 where the row
 *     is no conversation
 */
public record Encoded(
    int[] ids, String text, boolean[] assistant, int instructionEnd, int promptEnd) {

  /**
   * The tokens at a named position, ascending.
   *
   * @throws HoldfastException if this row has no such position
   */
  public int[] at(Position position) {
    return switch (position) {
      case INSTRUCTION_END -> new int[] {known(instructionEnd, "instruction")};
      case PROMPT_END -> new int[] {known(promptEnd, "prompt")};
      case RESPONSE ->
          IntStream.range(known(promptEnd, "response") + 1, ids.length)
              .filter(i -> assistant[i])
              .toArray();
      case ALL -> IntStream.range(0, ids.length).toArray();
      case LAST -> new int[] {ids.length - 1};
    };
  }

  private static int known(int position, String what) {
    if (position < 0) {
      throw HoldfastException.input(
          "this row has no %s to point at; give it as messages with a user turn", what);
    }
    return position;
  }
}
