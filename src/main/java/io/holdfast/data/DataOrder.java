package io.holdfast.data;

/**
 * Which example stands at which position of an endless stream of epochs: a pure function of seed
 * and position, so that one number is the whole state of a resumed run.
 *
 * <p>Each epoch has its own permutation, drawn from seed and epoch alone (Fisher-Yates over
 * SplitMix64; Steele, Lea and Flood 2014).
 */
public final class DataOrder {
  private final long seed;
  private final boolean shuffle;
  private final int examples;
  private long epoch = -1;
  private int[] permutation;

  /**
   * An order.
   *
   * @param shuffle false for the files' own order, every epoch
   * @param examples number of examples, at least 1
   */
  public DataOrder(long seed, boolean shuffle, int examples) {
    if (examples < 1) {
      throw new IllegalArgumentException("no examples to order");
    }
    this.seed = seed;
    this.shuffle = shuffle;
    this.examples = examples;
  }

  /** Whether each epoch has an order of its own. */
  public boolean shuffles() {
    return shuffle;
  }

  /** The examples at positions {@code from} to {@code from + count - 1}. */
  public synchronized int[] indices(long from, int count) {
    var indices = new int[count];
    for (int i = 0; i < count; i++) {
      indices[i] = index(from + i);
    }
    return indices;
  }

  private int index(long position) {
    int within = (int) (position % examples);
    return shuffle ? permutation(position / examples)[within] : within;
  }

  private int[] permutation(long wanted) {
    if (wanted != epoch) {
      permutation = shuffled(mix(mix(seed) + wanted));
      epoch = wanted;
    }
    return permutation;
  }

  private int[] shuffled(long state) {
    var order = new int[examples];
    for (int i = 0; i < examples; i++) {
      state += 0x9E3779B97F4A7C15L;
      // The high half of a 64 by 32 bit product maps the draw to 0..i without bias worth a name.
      int j = (int) Math.unsignedMultiplyHigh(mix(state), i + 1);
      order[i] = order[j];
      order[j] = i;
    }
    return order;
  }

  private static long mix(long z) {
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }
}
