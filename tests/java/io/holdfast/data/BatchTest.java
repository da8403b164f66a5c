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
    assertArrayEquals(new int[] {3, 2}, batch.lengths());
    assertArrayEquals(new long[] {-100, 7, -100, 9, -100, -100}, batch.labels());
    assertEquals(2, batch.supervised());
  }

  @Test
  void theFirstTokenIsNeverALabel() {
    var batch = Batch.of(List.of(example(new int[] {5, 6}, true, true)), 0);
    assertArrayEquals(new long[] {6, -100}, batch.labels());
    assertEquals(1, batch.supervised());
  }
}
