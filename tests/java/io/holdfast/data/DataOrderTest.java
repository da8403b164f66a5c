package io.holdfast.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class DataOrderTest {
  private static final int N = 137;

  @Test
  void everyEpochSeesEveryExampleOnce() {
    var order = new DataOrder(3, true, N);
    int[] all = IntStream.range(0, N).toArray();
    for (int epoch = 0; epoch < 5; epoch++) {
      assertArrayEquals(all, Arrays.stream(order.indices((long) epoch * N, N)).sorted().toArray());
    }
  }

  @Test
  void epochsAndSeedsDiffer() {
    var order = new DataOrder(3, true, N);
    int[] first = order.indices(0, N);
    assertFalse(Arrays.equals(first, order.indices(N, N)));
    assertFalse(Arrays.equals(first, new DataOrder(4, true, N).indices(0, N)));
    assertArrayEquals(first, new DataOrder(3, true, N).indices(0, N));
  }

  @Test
  void anyPositionCanBeResumedFrom() {
    var whole = new DataOrder(11, true, N).indices(0, 4 * N);
    var order = new DataOrder(11, true, N);
    for (int from : new int[] {2 * N + 5, 0, N - 1, 3 * N, 1}) {
      int[] part = order.indices(from, 40);
      assertArrayEquals(Arrays.copyOfRange(whole, from, from + 40), part);
    }
  }

  @Test
  void withoutShufflingTheFilesOrderRepeats() {
    assertArrayEquals(new int[] {2, 0, 1, 2, 0}, new DataOrder(1, false, 3).indices(5, 5));
  }

  /** Every example must be equally likely at every place: chi-squared over the first place. */
  @Test
  void theShuffleIsFair() {
    int n = 8;
    int epochs = 8000;
    var order = new DataOrder(5, true, n);
    var counts = new int[n];
    for (int epoch = 0; epoch < epochs; epoch++) {
      counts[order.indices((long) epoch * n, 1)[0]]++;
    }
    double expected = epochs / (double) n;
    double statistic =
        Arrays.stream(counts).mapToDouble(c -> (c - expected) * (c - expected) / expected).sum();
    assertTrue(statistic < 24.3, "chi-squared with 7 degrees of freedom: " + statistic);
    assertEquals(epochs, Arrays.stream(counts).sum());
  }
}
