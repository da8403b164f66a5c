package io.holdfast.cli;

import io.holdfast.HoldfastException;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** What {@code --layers} says: numbers of slots of the residual stream. */
final class LayerList {
  private LayerList() {}

  /**
   * The numbers of the layers, none of them twice, in the order given.
   *
   * @param text all, or numbers with commas between; -1 is the last
   * @param last layer of the model
   */
  static List<Integer> parse(String text, int last) {
    if (text.equals("all")) {
      return IntStream.rangeClosed(0, last).boxed().toList();
    }
    return Stream.of(text.split(",", -1)).map(one -> layer(one.strip(), last)).distinct().toList();
  }

  private static int layer(String text, int last) {
    try {
      int number = Integer.parseInt(text);
      int layer = number < 0 ? last + 1 + number : number;
      if (layer >= 0 && layer <= last) {
        return layer;
      }
    } catch (NumberFormatException e) {
      // Said below.
    }
    throw HoldfastException.usage(
        "--layers: '%s' is no layer of this model; it has 0 to %d (%d to -1 from the end), or all",
        text, last, -last - 1);
  }
}
