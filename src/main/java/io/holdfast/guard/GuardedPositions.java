package io.holdfast.guard;

import io.holdfast.data.Example;
import java.util.stream.IntStream;

/** Which tokens of an example a subspace guard holds. */
public interface GuardedPositions {
  /** The guarded token positions of an example, ascending; empty where there is nothing to hold. */
  int[] of(Example example);

  /**
   * The template tokens from the end of the instruction to the end of the prompt, where refusal is
   * decided, and the first tokens of the answer, where a model that was talked into compliance
   * would show it.
   *
   * @param answerTokens how many tokens of the answer are held too
   */
  static GuardedPositions templateAndAnswer(int answerTokens) {
    return example -> {
      int last = example.promptEnd();
      if (last < 0) {
        return new int[0];
      }
      int first = example.instructionEnd() >= 0 ? example.instructionEnd() : last;
      int end = Math.min(last + 1 + answerTokens, example.ids().length);
      return IntStream.range(first, end).toArray();
    };
  }
}
