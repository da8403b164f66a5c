package io.holdfast.text;

/** Named tokens of a prompt or conversation. Which they are follows from the chat template. */
public enum Position {
  /** The last token of the last user turn's content. */
  INSTRUCTION_END,
  /** The last token before the answer, generation prompt included. */
  PROMPT_END,
  /** Every token of the last answer, its end of turn included. */
  RESPONSE,
  /** Every token. */
  ALL,
  /** The last token. */
  LAST
}
