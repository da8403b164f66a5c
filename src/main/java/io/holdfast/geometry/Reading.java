package io.holdfast.geometry;

import io.holdfast.data.Example;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * One vector that is read of each example at every layer: the state of a token, or the mean over
 * the first tokens of the answer.
 *
 * @param position where
 * @param back tokens before that position, for the tokens of the template
 * @param window tokens of the answer, at most; 1 for a single token
 */
public record Reading(TokenPosition position, int back, int window) {
  /**
   * The readings that positions stand for. The template counts as one reading a token, so that only
   * like tokens are averaged.
   *
   * @param examples of which all have the template's suffix
   * @param window tokens of the answer whose mean is read
   */
  public static List<Reading> of(
      List<TokenPosition> positions, List<Example> examples, int window) {
    var readings = new ArrayList<Reading>();
    for (var position : positions) {
      switch (position) {
        case INSTRUCTION_END, PROMPT_END -> readings.add(new Reading(position, 0, 1));
        case RESPONSE -> readings.add(new Reading(position, 0, window));
        case TEMPLATE -> {
          int suffix =
              examples.stream().mapToInt(e -> TokenPosition.TEMPLATE.of(e).length).min().orElse(0);
          for (int back = suffix - 1; back >= 0; back--) {
            readings.add(new Reading(TokenPosition.PROMPT_END, back, 1));
          }
        }
      }
    }
    return readings.stream().distinct().toList();
  }

  /** The tokens that are averaged; none where the example has no such position. */
  int[] tokens(Example example) {
    int[] all = position.of(example);
    if (position == TokenPosition.RESPONSE) {
      return Arrays.copyOf(all, Math.min(all.length, window));
    }
    return Arrays.stream(all).map(t -> t - back).filter(t -> t >= 0).toArray();
  }

  /** Such as {@code instruction_end}, {@code prompt_end-3} or {@code response}. */
  public String name() {
    return position.name().toLowerCase(java.util.Locale.ROOT) + (back == 0 ? "" : "-" + back);
  }
}
