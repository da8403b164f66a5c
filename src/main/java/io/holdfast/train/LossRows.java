package io.holdfast.train;

import io.holdfast.data.Batch;
import io.holdfast.guard.Anchor;
import io.holdfast.guard.ExampleWeight;
import java.util.Arrays;
import java.util.List;

/**
 * The rows of a batch that the head must compute: every position with a label whose weight is not
 * zero, and the last prompt token of anchors that a KL guard holds. Rows with a KL weight come
 * first, so that the reference is only needed for a prefix.
 *
 * @param index position {@code row * width + time} of each row in the flattened batch
 * @param labels the token to predict there
 * @param ceWeight weight of the cross entropy, already divided by the window's token count
 * @param klWeight weight of the divergence, likewise
 * @param withKl how many of the rows, from the first, have a KL weight
 */
public record LossRows(
    long[] index, long[] labels, float[] ceWeight, float[] klWeight, int withKl) {

  /**
   * The rows of a batch.
   *
   * @param weights one for each example of the batch
   * @param denominator supervised tokens in the whole accumulation window
   * @param anchors anchors in the whole window; each has one row, at the end of its prompt
   */
  public static LossRows of(
      Batch batch, List<ExampleWeight> weights, long denominator, long anchors) {
    int capacity = batch.supervised() + batch.examples().size();
    var rows =
        new LossRows(
            new long[capacity], new long[capacity], new float[capacity], new float[capacity], 0);
    int count = rows.anchors(batch, weights, anchors);
    count = rows.fill(batch, weights, denominator, count, true);
    int withKl = count;
    count = rows.fill(batch, weights, denominator, count, false);
    return new LossRows(
        Arrays.copyOf(rows.index, count),
        Arrays.copyOf(rows.labels, count),
        Arrays.copyOf(rows.ceWeight, count),
        Arrays.copyOf(rows.klWeight, count),
        withKl);
  }

  private int anchors(Batch batch, List<ExampleWeight> weights, long anchors) {
    int count = 0;
    for (int i = 0; i < batch.examples().size(); i++) {
      var example = batch.examples().get(i);
      if (weights.get(i).kl() != 0 && Anchor.is(example)) {
        index[count] = batch.starts()[i] + example.promptEnd();
        labels[count] = -1;
        klWeight[count++] = (float) (weights.get(i).kl() / anchors);
      }
    }
    return count;
  }

  private int fill(
      Batch batch, List<ExampleWeight> weights, long denominator, int count, boolean kl) {
    for (int i = 0; i < batch.examples().size(); i++) {
      var weight = weights.get(i);
      if (weight.kl() != 0 != kl || weight.isZero()) {
        continue;
      }
      int end = batch.starts()[i] + batch.examples().get(i).length();
      for (int at = batch.starts()[i]; at < end; at++) {
        if (batch.labels()[at] >= 0) {
          index[count] = at;
          labels[count] = batch.labels()[at];
          ceWeight[count] = (float) (weight.task() / denominator);
          klWeight[count] = (float) (weight.kl() / denominator);
          count++;
        }
      }
    }
    return count;
  }

  /** Number of rows. */
  public int size() {
    return index.length;
  }
}
