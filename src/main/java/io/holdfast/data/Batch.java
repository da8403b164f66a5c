package io.holdfast.data;

import java.util.Arrays;
import java.util.List;

/**
 * Examples side by side, padded on the right.
 *
 * @param rows number of examples
 * @param width length of the longest
 * @param ids {@code [rows * width]}
 * @param lengths of the examples
 * @param labels {@code [rows * width]}: the token to predict at a position, or -100
 * @param supervised number of labels
 * @param examples the rows
 */
public record Batch(
    int rows,
    int width,
    long[] ids,
    int[] lengths,
    long[] labels,
    int supervised,
    List<Example> examples) {
  /** Pads examples to one length. */
  public static Batch of(List<Example> examples, int padId) {
    int rows = examples.size();
    int width = examples.stream().mapToInt(example -> example.ids().length).max().orElse(0);
    var ids = new long[rows * width];
    var labels = new long[rows * width];
    var lengths = new int[rows];
    Arrays.fill(ids, padId);
    Arrays.fill(labels, -100);
    int supervised = 0;
    for (int r = 0; r < rows; r++) {
      var example = examples.get(r);
      lengths[r] = example.ids().length;
      for (int t = 0; t < lengths[r]; t++) {
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
