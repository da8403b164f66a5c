package io.holdfast.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

class BatchTest {
  private static Example example(int[] ids, boolean... target) {
    return new Example("x", ids, target, -1, -1, Float.NaN, new Place(Path.of("rows.jsonl"), 1));
  }

  @Test
  void labelsAreTheNextSupervisedToken() {
    var batch =
        Batch.of(
            List.of(
                example(new int[] {5, 6, 7}, false, false, true),
                example(new int[] {8, 9}, false, true)),
            99);
    assertEquals(2, batch.rows());
    assertEquals(3, batch.width());
    assertArrayEquals(new long[] {5, 6, 7, 8, 9, 99}, batch.ids());
    assertArrayEquals(new int[] {0, 3}, batch.starts());
    assertEquals(5, batch.tokens());
    assertArrayEquals(new long[] {-100, 7, -100, 9, -100, -100}, batch.labels());
    assertEquals(2, batch.supervised());
  }

  @Test
  void theFirstTokenIsNeverALabel() {
    var batch = Batch.of(List.of(example(new int[] {5, 6}, true, true)), 0);
    assertArrayEquals(new long[] {6, -100}, batch.labels());
    assertEquals(1, batch.supervised());
  }

  @Test
  void packedExamplesFollowOneAnother() {
    var examples =
        List.of(
            example(new int[] {5, 6, 7}, false, false, true),
            example(new int[] {8}, false),
            example(new int[] {9, 10}, true, true));
    var batch = Batch.packed(examples);
    assertEquals(1, batch.rows());
    assertEquals(6, batch.width());
    assertArrayEquals(new long[] {5, 6, 7, 8, 9, 10}, batch.ids());
    // The first token of an example is not what the one before it predicts.
    assertArrayEquals(new long[] {-100, 7, -100, -100, 10, -100}, batch.labels());
    assertEquals(2, batch.supervised());
    assertEquals(6, batch.tokens());
    assertArrayEquals(
        new int[] {0, 0, 0, 1, 2, 2},
        java.util.stream.IntStream.range(0, 6).map(batch::exampleAt).toArray());
    var some = batch.only(new int[] {0, 2});
    assertArrayEquals(new long[] {5, 6, 7, 9, 10}, some.ids());
    assertArrayEquals(new int[] {0, 3}, some.starts());
  }

  @Test
  void someOfTheRowsKeepTheirOrder() {
    var examples =
        List.of(
            example(new int[] {5, 6, 7}, false, false, true),
            example(new int[] {8, 9}, false, true),
            example(new int[] {3}, false));
    var some = Batch.of(examples, 99).only(new int[] {1, 2});
    assertEquals(2, some.rows());
    assertArrayEquals(new long[] {8, 9, 3, 0}, some.ids());
    assertArrayEquals(new int[] {0, 2}, some.starts());
  }
}
