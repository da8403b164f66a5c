package io.holdfast.data;

/**
 * A row as the trainer sees it.
 *
 * @param id its name
 * @param ids token ids
 * @param target whether a token is learnt, that is, predicted from those before it; never the first
 * @param instructionEnd last token of the instruction, or -1
 * @param promptEnd last token before the answer, or -1
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
  /** The same row with another risk. */
  public Example withRisk(float newRisk) {
    return new Example(id, ids, target, instructionEnd, promptEnd, newRisk, place);
  }
}
