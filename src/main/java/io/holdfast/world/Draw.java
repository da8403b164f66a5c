package io.holdfast.world;

import java.util.ArrayList;
import java.util.stream.Stream;

/** A way to draw something by chance; mixtures of draws are draws. */
@FunctionalInterface
public interface Draw<T> {
  T draw(Dice dice);

  /** A draw and how often it is taken, relative to the others of its mixture. */
  record Share<T>(double weight, Draw<? extends T> of) {}

  static <T> Share<T> share(double weight, Draw<? extends T> of) {
    return new Share<>(weight, of);
  }

  /** Takes one of the shares in proportion to its weight, then draws from it. */
  @SafeVarargs
  static <T> Draw<T> mix(Share<T>... shares) {
    var parts = new ArrayList<Share<T>>();
    double sum = 0;
    for (var share : shares) {
      parts.add(share);
      sum += share.weight();
    }
    double total = sum;
    return dice -> {
      double rest = dice.uniform() * total;
      for (var part : parts) {
        rest -= part.weight();
        if (rest < 0) {
          return part.of().draw(dice);
        }
      }
      return parts.getLast().of().draw(dice); // rounding of the weights' sum
    };
  }

  /** Draws without end. */
  default Stream<T> stream(Dice dice) {
    return Stream.generate(() -> draw(dice));
  }
}
