package io.holdfast.train;

import io.holdfast.data.DataOrder;
import io.holdfast.data.Example;
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

  private final List<Example> examples;
  private final DataOrder order;
  private final int batchSize;
  private final int accumulation;
  private final boolean groupByLength;
  private final long seed;

  /** Windows of {@code batchSize * accumulation} examples a step. */
  public Windows(
      List<Example> examples,
      int batchSize,
      int accumulation,
      boolean shuffle,
      boolean groupByLength,
      long seed) {
    this.examples = examples;
    this.order = new DataOrder(seed, shuffle, examples.size());
    this.batchSize = batchSize;
    this.accumulation = accumulation;
    this.groupByLength = groupByLength;
    this.seed = seed;
  }

  /** The micro-batches of a step, from 0. */
  public List<List<Example>> of(long step) {
    int size = batchSize * accumulation;
    int[] indices = groupByLength ? grouped(step, size) : order.indices(step * size, size);
    var window = new ArrayList<List<Example>>();
    for (int start = 0; start < size; start += batchSize) {
      window.add(Arrays.stream(indices, start, start + batchSize).mapToObj(examples::get).toList());
    }
    return window;
  }

  private int[] grouped(long step, int size) {
    long group = step / GROUP;
    int[] all = order.indices(group * GROUP * size, GROUP * size);
    int[] sorted =
        Arrays.stream(all)
            .boxed()
            .sorted(Comparator.comparingInt(i -> examples.get(i).ids().length))
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
