package io.holdfast.train;

import io.holdfast.data.Batch;
import io.holdfast.data.DataOrder;
import io.holdfast.data.Example;
import io.holdfast.data.Examples;
import io.holdfast.data.Packing;
import io.holdfast.train.config.TrainConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Which examples a step sees: a pure function of the step, so that a resumed run needs to know
 * nothing but its step number.
 */
public final class Windows {
  /** Steps whose examples are sorted by length together. */
  private static final int GROUP = 32;

  private final List<Example> examples;
  private final int[] lengths;
  private final Optional<List<int[]>> packed;
  private final DataOrder order;
  private final int batchSize;
  private final int accumulation;
  private final boolean groupByLength;
  private final long seed;

  private Windows(
      List<Example> examples,
      int[] lengths,
      Optional<List<int[]>> packed,
      int batchSize,
      int accumulation,
      boolean shuffle,
      boolean groupByLength,
      long seed) {
    this.examples = examples;
    this.lengths = lengths;
    this.packed = packed;
    this.order = new DataOrder(seed, shuffle, packed.map(List::size).orElse(lengths.length));
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
        examples,
        Examples.lengths(examples),
        Optional.empty(),
        batchSize,
        accumulation,
        shuffle,
        groupByLength,
        seed);
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
    return packed(
        examples, Examples.lengths(examples), length, batchSize, accumulation, shuffle, seed);
  }

  private static Windows packed(
      List<Example> examples,
      int[] lengths,
      int length,
      int batchSize,
      int accumulation,
      boolean shuffle,
      long seed) {
    int[] drawn = new DataOrder(~seed, shuffle, lengths.length).indices(0, lengths.length);
    var rows = Packing.rows(Arrays.stream(drawn).map(i -> lengths[i]).toArray(), length);
    rows.forEach(row -> Arrays.setAll(row, i -> drawn[row[i]]));
    return new Windows(
        examples, lengths, Optional.of(rows), batchSize, accumulation, shuffle, false, seed);
  }

  /** The windows of a configuration, to be counted: of the examples only lengths are known. */
  public static Windows counting(TrainConfig config, int[] lengths) {
    return of(config, List.of(), lengths);
  }

  /** The windows of a configuration over examples whose lengths are known. */
  static Windows of(TrainConfig config, List<Example> examples, int[] lengths) {
    var data = config.data();
    return data.packing()
        ? packed(
            examples,
            lengths,
            data.maxLength(),
            config.batchSize(),
            config.accumulation(),
            data.shuffle(),
            config.seed())
        : new Windows(
            examples,
            lengths,
            Optional.empty(),
            config.batchSize(),
            config.accumulation(),
            data.shuffle(),
            data.groupByLength(),
            config.seed());
  }

  /** Rows of an epoch. */
  public int rows() {
    return packed.map(List::size).orElse(lengths.length);
  }

  /** Examples of a micro-batch, and those that join it, as one pass takes them. */
  public Batch batch(List<Example> together, int padId) {
    return packed.isPresent() ? Batch.packed(together) : Batch.of(together, padId);
  }

  /** Steps in which every example is seen once. */
  public int stepsPerEpoch() {
    return Math.ceilDiv(rows(), batchSize * accumulation);
  }

  /** The micro-batches of a step, from 0: the examples of their rows. */
  public List<List<Example>> of(long step) {
    return numbers(step).stream()
        .map(batch -> Arrays.stream(batch).mapToObj(examples::get).toList())
        .toList();
  }

  /** Which examples the micro-batches of a step have, in numbers of the list of examples. */
  List<int[]> numbers(long step) {
    int size = batchSize * accumulation;
    int[] rows = groupByLength ? grouped(step, size) : order.indices(step * size, size);
    var window = new ArrayList<int[]>();
    for (int start = 0; start < size; start += batchSize) {
      window.add(Arrays.stream(rows, start, start + batchSize).flatMap(this::row).toArray());
    }
    return window;
  }

  private IntStream row(int number) {
    return packed.map(rows -> Arrays.stream(rows.get(number))).orElse(IntStream.of(number));
  }

  /** The share of the first epoch's positions that are padding and teach nothing. */
  public double padding() {
    if (packed.isPresent()) {
      return 0;
    }
    long tokens = 0;
    long positions = 0;
    for (int step = 0; step < stepsPerEpoch(); step++) {
      for (int[] batch : numbers(step)) {
        var some = Arrays.stream(batch).map(i -> lengths[i]).summaryStatistics();
        tokens += some.getSum();
        positions += (long) some.getMax() * batch.length;
      }
    }
    return 1 - (double) tokens / positions;
  }

  /** The same examples with rows of like length in neighbouring steps. */
  public Windows groupedByLength() {
    return new Windows(
        examples, lengths, packed, batchSize, accumulation, order.shuffles(), true, seed);
  }

  /**
   * The rows of a step when neighbouring steps share theirs by length. They share within an epoch
   * alone, so that an epoch's rows are seen in the same steps as without sharing; a step in which
   * two epochs meet shares with none.
   */
  private int[] grouped(long step, int size) {
    long block = step - step % GROUP;
    long first = step;
    while (first > block && inOneEpoch(first - 1, step, size)) {
      first--;
    }
    long end = step + 1;
    while (end < block + GROUP && inOneEpoch(first, end, size)) {
      end++;
    }
    int steps = (int) (end - first);
    int[] all = order.indices(first * size, steps * size);
    int[] sorted =
        Arrays.stream(all)
            .boxed()
            .sorted(Comparator.comparingInt(i -> lengths[i]))
            .mapToInt(Integer::intValue)
            .toArray();
    int[] turn = IntStream.range(0, steps).toArray();
    var random = new SplittableRandom(seed * 31 + first);
    for (int i = steps - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int swapped = turn[i];
      turn[i] = turn[j];
      turn[j] = swapped;
    }
    int at = turn[(int) (step - first)] * size;
    return Arrays.copyOfRange(sorted, at, at + size);
  }

  private boolean inOneEpoch(long firstStep, long lastStep, int size) {
    return firstStep * size / rows() == ((lastStep + 1) * size - 1) / rows();
  }
}
