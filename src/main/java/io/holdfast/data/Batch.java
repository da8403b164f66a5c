package io.holdfast.data;

import java.util.Arrays;
import java.util.List;

/**
 * Examples side by side, padded on the right, row-major.
 *
 * @param rows number of examples
 * @param width length of the longest example
 * @param ids token ids, {@code [rows * width]}, short rows filled with the pad id
 * @param lengths tokens of each row
 * @param labels the token to predict at each position, {@code [rows * width]}: {@code ids[t + 1]}
 *     at position t where that token is supervised, else {@link #IGNORED}
 * @param supervised number of labels
 * @param examples where the rows come from
 */
public record Batch(
    int rows,
    int width,
    long[] ids,
    int[] lengths,
    long[] labels,
    int supervised,
    List<Example> examples) {
  /** The label of a position without one, as PyTorch's losses have it. */
  public static final long IGNORED = -100;

  /** Puts examples side by side. */
  public static Batch of(List<Example> examples, int padId) {
    int rows = examples.size();
    int width = examples.stream().mapToInt(e -> e.ids().length).max().orElse(0);
    var ids = new long[rows * width];
    var labels = new long[rows * width];
    var lengths = new int[rows];
    Arrays.fill(ids, padId);
    Arrays.fill(labels, IGNORED);
    int supervised = 0;
    for (int r = 0; r < rows; r++) {
      var example = examples.get(r);
      int length = example.ids().length;
      lengths[r] = length;
      for (int t = 0; t < length; t++) {
        ids[r * width + t] = example.ids()[t];
        if (t > 0 && example.target()[t]) {
          labels[r * width + t - 1] = example.ids()[t];
          supervised++;
        }
      }
    }
    return new Batch(rows, width, ids, lengths, labels, supervised, List.copyOf(examples));
  }
}
