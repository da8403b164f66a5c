package io.holdfast.text;

/**
 * A row as tokens.
 *
 * @param ids token ids
 * @param assistant true at tokens an assistant wrote, its end of turn included
 * @param instructionEnd last token of the last user's content, or -1
 * @param promptEnd last token before the last answer, or -1
 */
public record Encoded(int[] ids, boolean[] assistant, int instructionEnd, int promptEnd) {}
