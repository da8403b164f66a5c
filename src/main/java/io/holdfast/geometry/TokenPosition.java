package io.holdfast.geometry;

import io.holdfast.data.Example;
import java.util.stream.IntStream;

/** Named tokens of a conversation. Which they are follows from its chat template. */
public enum TokenPosition {
  /** The last token of the user's instruction, where harm is read. */
  INSTRUCTION_END,
  /** The last token before the answer, where refusal is decided. */
  PROMPT_END,
  /** From the end of the instruction to the end of the prompt. */
  TEMPLATE,
  /** Every token of the answer. */
  RESPONSE;

  /** The tokens of an example, ascending; none where it has no such position. */
  public int[] of(Example example) {
    int instruction = example.instructionEnd();
    int prompt = example.promptEnd();
    return switch (this) {
      case INSTRUCTION_END -> at(instruction);
      case PROMPT_END -> at(prompt);
      case TEMPLATE ->
          prompt < 0
              ? new int[0]
              : IntStream.rangeClosed(instruction < 0 ? prompt : instruction, prompt).toArray();
      case RESPONSE ->
          prompt < 0 ? new int[0] : IntStream.range(prompt + 1, example.length()).toArray();
    };
  }

  private static int[] at(int position) {
    return position < 0 ? new int[0] : new int[] {position};
  }
}
