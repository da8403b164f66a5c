package io.holdfast.train;

import io.holdfast.data.Batch;
import io.holdfast.data.DataOrder;
import io.holdfast.data.Example;
import io.holdfast.data.Packing;
import io.holdfast.train.config.TrainConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Which examples a step sees: a pure function of the step, so that a resumed run needs to know
 * nothing but its step number.
 */
public final class Windows {
  /** Steps whose examples are sorted by length together. */
  private static final int GROUP = 4;

  private final List<List<Example>> rows;
  private final DataOrder order;
  private final int batchSize;
  private final int accumulation;
  private final boolean groupByLength;
  private final boolean packed;
  private final long seed;

  private Windows(
      int batchSize,
      int accumulation,
      boolean shuffle,
      boolean groupByLength,
      long seed,
      boolean packed,
      List<List<Example>> rows) {
    this.rows = rows;
    this.packed = packed;
    this.order = new DataOrder(seed, shuffle, rows.size());
    this.batchSize = batchSize;
    this.accumulation = accumulation;
    this.groupByLength = groupByLength;
    this.seed = seed;
  }

  /** Windows of {@code batchSize * accumulation} examples a step. */
  public Windows(
      List<Example> examples,
      int batchSize,
      int accumulation,
      boolean shuffle,
      boolean groupByLength,
      long seed) {
    this(
        batchSize,
        accumulation,
        shuffle,
        groupByLength,
        seed,
        false,
        examples.stream().map(List::of).toList());
  }

  /**
   * Windows of {@code batchSize * accumulation} rows a step, each of as many examples as fit. What
   * shares a row is drawn once for the whole run; the order of the rows is drawn in every epoch.
   *
   * @param length tokens of a row
   */
  public static Windows packed(
      List<Example> examples,
      int length,
      int batchSize,
      int accumulation,
      boolean shuffle,
      long seed) {
    var drawn = new DataOrder(~seed, shuffle, examples.size()).indices(0, examples.size());
    var rows = Packing.rows(Arrays.stream(drawn).mapToObj(examples::get).toList(), length);
    return new Windows(batchSize, accumulation, shuffle, false, seed, true, rows);
  }

  /** The windows of a configuration. */
  public static Windows of(TrainConfig config, List<Example> examples) {
    var data = config.data();
    return data.packing()
        ? packed(
            examples,
            data.maxLength(),
            config.batchSize(),
            config.accumulation(),
            data.shuffle(),
            config.seed())
        : new Windows(
            examples,
            config.batchSize(),
            config.accumulation(),
            data.shuffle(),
            data.groupByLength(),
            config.seed());
  }

  /** Rows of an epoch. */
  public int rows() {
    return rows.size();
  }

  /** Examples of a micro-batch, and those that join it, as one pass takes them. */
  public Batch batch(List<Example> together, int padId) {
    return packed ? Batch.packed(together) : Batch.of(together, padId);
  }

  /** Steps in which every example is seen once. */
  public int stepsPerEpoch() {
    return Math.ceilDiv(rows.size(), batchSize * accumulation);
  }

  /** The micro-batches of a step, from 0: the examples of their rows. */
  public List<List<Example>> of(long step) {
    int size = batchSize * accumulation;
    int[] indices = groupByLength ? grouped(step, size) : order.indices(step * size, size);
    var window = new ArrayList<List<Example>>();
    for (int start = 0; start < size; start += batchSize) {
      window.add(
          Arrays.stream(indices, start, start + batchSize)
              .mapToObj(rows::get)
              .flatMap(List::stream)
              .toList());
    }
    return window;
  }

  private int[] grouped(long step, int size) {
    long group = step / GROUP;
    int[] all = order.indices(group * GROUP * size, GROUP * size);
    int[] sorted =
        Arrays.stream(all)
            .boxed()
            .sorted(Comparator.comparingInt(i -> rows.get(i).getFirst().length()))
            .mapToInt(Integer::intValue)
            .toArray();
    int[] turn = IntStream.range(0, GROUP).toArray();
    var random = new SplittableRandom(seed * 31 + group);
    for (int i = GROUP - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int swapped = turn[i];
      turn[i] = turn[j];
      turn[j] = swapped;
    }
    int at = turn[(int) (step % GROUP)] * size;
    return Arrays.copyOfRange(sorted, at, at + size);
  }
}
