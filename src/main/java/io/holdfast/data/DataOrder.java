package io.holdfast.data;

import java.util.SplittableRandom;

/**
 * The order in which examples are seen: a pure function from position to example, so that all a
 * resumed run needs to know is how far it came. Epoch e is a permutation derived from seed and e.
 *
 * @param seed of the permutations
 * @param shuffle whether there are any, or every epoch has the order of the files
 * @param examples how many there are
 */
public record DataOrder(long seed, boolean shuffle, int examples) {
  /** Checks that there is something to order. */
  public DataOrder {
    if (examples < 1) {
      throw new IllegalArgumentException("an order needs at least one example");
    }
  }

  /** The examples at positions {@code from..from+count-1} of the endless sequence of epochs. */
  public int[] indices(long from, int count) {
    var indices = new int[count];
    long epoch = -1;
    int[] permutation = null;
    for (int i = 0; i < count; i++) {
      long position = from + i;
      if (position / examples != epoch) {
        epoch = position / examples;
        permutation = permutation(epoch);
      }
      indices[i] = permutation[(int) (position % examples)];
    }
    return indices;
  }

  private int[] permutation(long epoch) {
    var permutation = new int[examples];
    for (int i = 0; i < examples; i++) {
      permutation[i] = i;
    }
    if (shuffle) {
      var random = new SplittableRandom(seed * 0x9E3779B97F4A7C15L + epoch);
      for (int i = examples - 1; i > 0; i--) {
        int j = random.nextInt(i + 1);
        int moved = permutation[i];
        permutation[i] = permutation[j];
        permutation[j] = moved;
      }
    }
    return permutation;
  }
}
