package io.holdfast.geometry;

/**
 * Which tokens an intervention reaches. They are counted from the end of the prompt, so that
 * prompts of any length may share a batch that is padded on the left: a pass over several tokens is
 * a prompt and ends with its last column, a pass over one is a token of the answer.
 *
 * @param tokens which
 * @param suffix tokens that the chat template puts between the instruction and the answer
 */
public record Reach(Tokens tokens, int suffix) {
  /** Every token of prompt and answer. */
  public static final Reach ALL = new Reach(Tokens.ALL, 0);

  /** Classes of tokens. */
  public enum Tokens {
    /** Every token of prompt and answer. */
    ALL,
    /** Every token of the prompt. */
    PROMPT,
    /** What comes before the template's suffix, the last token of the instruction included. */
    CONTENT,
    /** The last token of the instruction. */
    INSTRUCTION_END,
    /** The template's suffix, from the end of the instruction to the answer. */
    TEMPLATE,
    /** The last token before the answer. */
    PROMPT_END,
    /** Every token of the answer but its first, which the prompt's last one predicts. */
    ANSWER
  }

  /** Columns {@code from..from + count - 1} of a pass. */
  record Columns(int from, int count) {}

  /** The columns that are reached in a pass over so many tokens. */
  Columns columns(int time) {
    boolean answer = time == 1;
    int content = Math.max(0, time - suffix);
    return switch (tokens) {
      case ALL -> new Columns(0, time);
      case ANSWER -> answer ? new Columns(0, 1) : new Columns(0, 0);
      case PROMPT -> new Columns(0, answer ? 0 : time);
      case CONTENT -> new Columns(0, answer ? 0 : content);
      case INSTRUCTION_END -> new Columns(content - 1, answer || content == 0 ? 0 : 1);
      case TEMPLATE -> new Columns(content, answer ? 0 : time - content);
      case PROMPT_END -> new Columns(time - 1, answer ? 0 : 1);
    };
  }
}
