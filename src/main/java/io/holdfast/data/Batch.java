package io.holdfast.data;

import java.util.Arrays;
import java.util.List;

/**
 * Examples as one pass through the model takes them, row-major: each in a row of its own, padded on
 * the right; or packed, one after another in a single row without any padding.
 *
 * @param rows number of rows
 * @param width tokens of a row
 * @param ids token ids, {@code [rows * width]}, short rows filled with the pad id
 * @param labels the token to predict at each position, {@code [rows * width]}: the next id of the
 *     same example where that is supervised, else {@link #IGNORED}
 * @param supervised number of labels
 * @param examples which examples these are
 * @param starts where each begins in {@code ids}, ascending
 */
public record Batch(
    int rows,
    int width,
    long[] ids,
    long[] labels,
    int supervised,
    List<Example> examples,
    int[] starts) {
  /** The label of a position without one, as PyTorch's losses have it. */
  public static final long IGNORED = -100;

  /** Puts examples side by side. */
  public static Batch of(List<Example> examples, int padId) {
    int width = examples.stream().mapToInt(Example::length).max().orElse(0);
    var starts = new int[examples.size()];
    Arrays.setAll(starts, i -> i * width);
    return filled(examples, starts, examples.size(), width, padId);
  }

  /** Puts examples one after another. */
  public static Batch packed(List<Example> examples) {
    var starts = new int[examples.size()];
    int width = 0;
    for (int i = 0; i < starts.length; i++) {
      starts[i] = width;
      width += examples.get(i).length();
    }
    return filled(examples, starts, 1, width, 0);
  }

  private static Batch filled(
      List<Example> examples, int[] starts, int rows, int width, int padId) {
    var ids = new long[rows * width];
    var labels = new long[rows * width];
    Arrays.fill(ids, padId);
    Arrays.fill(labels, IGNORED);
    int supervised = 0;
    for (int i = 0; i < starts.length; i++) {
      var example = examples.get(i);
      for (int t = 0; t < example.length(); t++) {
        ids[starts[i] + t] = example.ids()[t];
        if (t > 0 && example.target()[t]) {
          labels[starts[i] + t - 1] = example.ids()[t];
          supervised++;
        }
      }
    }
    return new Batch(rows, width, ids, labels, supervised, List.copyOf(examples), starts);
  }

  /** Whether several examples share a row. */
  public boolean packed() {
    return examples.size() > rows;
  }

  /** Tokens without padding. */
  public long tokens() {
    return examples.stream().mapToLong(Example::length).sum();
  }

  /** Which example a position of {@code ids} belongs to, or which one its padding follows. */
  public int exampleAt(long index) {
    int found = Arrays.binarySearch(starts, (int) index);
    return found >= 0 ? found : -found - 2;
  }

  /** Some of the examples, laid out like these; padding gets id 0. */
  public Batch only(int[] chosen) {
    var some = Arrays.stream(chosen).mapToObj(examples::get).toList();
    return packed() ? packed(some) : of(some, 0);
  }
}
