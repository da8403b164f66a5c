package io.holdfast.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class LengthBatchesTest {
  @Test
  void batchesKeepTheirBoundsAndResultsTheirOrder() {
    var random = new Random(4);
    for (int trial = 0; trial < 200; trial++) {
      var limits = new LengthBatches(1 + random.nextInt(6), 1 + random.nextInt(60));
      var lengths = IntStream.range(0, random.nextInt(300)).map(i -> 1 + random.nextInt(40));
      var items = lengths.boxed().toList();
      var results = new ArrayList<Integer>();
      limits.run(
          items.iterator(),
          length -> length,
          batch -> {
            int longest = batch.stream().mapToInt(length -> length).max().orElseThrow();
            assertTrue(batch.size() <= limits.rows());
            assertTrue(batch.size() == 1 || batch.size() * longest <= limits.tokens());
            return batch;
          },
          (item, result) -> {
            assertEquals(item, result);
            results.add(result);
          });
      assertEquals(items, results);
    }
  }

  @Test
  void likeLengthsShareABatch() {
    var batches = new LengthBatches(2, 100).divide(new int[] {9, 1, 8, 2, 60, 55});
    assertEquals(List.of(List.of(1, 3), List.of(2, 0), List.of(5), List.of(4)), batches);
  }

  @Test
  void twoKindsShareNoBatch() {
    var batches = new LengthBatches(4, 100).with(length -> length / 10);
    assertEquals(List.of(List.of(1, 3), List.of(0, 2)), batches.divide(new int[] {10, 9, 19, 9}));
  }

  /** An endless input needs bounded memory: results leave before all is read. */
  @Test
  void readsNoFurtherAheadThanAWindow() {
    var read = new AtomicInteger();
    var written = new AtomicInteger();
    Iterator<Integer> items =
        IntStream.range(0, 10_000).peek(i -> read.incrementAndGet()).iterator();
    new LengthBatches(4, 1000)
        .run(
            items,
            i -> 1 + i % 7,
            batch -> batch,
            (i, _) -> {
              assertEquals(i, written.getAndIncrement());
              assertTrue(read.get() - written.get() <= 65, "reads far ahead");
            });
    assertEquals(10_000, written.get());
  }
}
