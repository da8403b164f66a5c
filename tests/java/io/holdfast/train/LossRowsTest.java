package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.data.Place;
import io.holdfast.guard.ExampleWeight;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

class LossRowsTest {
  /** Tokens {@code first, first + 1, ..}, of which those from {@code answer} on are learnt. */
  private static Example example(int first, int length, int answer) {
    var ids = new int[length];
    var target = new boolean[length];
    for (int i = 0; i < length; i++) {
      ids[i] = first + i;
      target[i] = i >= answer;
    }
    return new Example(
        "e" + first, ids, target, -1, answer - 1, Float.NaN, new Place(Path.of("rows"), first));
  }

  @Test
  void rowsWithKlComeFirstAndAnchorsBeforeThem() {
    var batch =
        Batch.of(
            List.of(example(10, 4, 2), example(20, 3, 3), example(30, 5, 3), example(40, 3, 1)), 0);
    var weights =
        List.of(
            ExampleWeight.PLAIN,
            new ExampleWeight(0, 1),
            new ExampleWeight(0.25, 0.75),
            ExampleWeight.NONE);
    var rows = LossRows.of(batch, weights, 8, 2);
    // The anchor's last prompt token, two of the guarded row, two of the plain one, none of the
    // last: its weight is zero.
    assertArrayEquals(new long[] {5 + 2, 10 + 2, 10 + 3, 1, 2}, rows.index());
    assertArrayEquals(new long[] {-1, 33, 34, 12, 13}, rows.labels());
    assertArrayEquals(new float[] {0, 0.25f / 8, 0.25f / 8, 1f / 8, 1f / 8}, rows.ceWeight());
    assertArrayEquals(new float[] {0.5f, 0.75f / 8, 0.75f / 8, 0, 0}, rows.klWeight());
    assertEquals(3, rows.withKl());
  }

  @Test
  void withoutGuardsTheWeightsSumToOne() {
    var batch = Batch.of(List.of(example(10, 4, 2), example(30, 9, 1)), 0);
    var rows = LossRows.of(batch, List.of(ExampleWeight.PLAIN, ExampleWeight.PLAIN), 10, 0);
    assertEquals(10, rows.size());
    assertEquals(0, rows.withKl());
    double sum = 0;
    for (float weight : rows.ceWeight()) {
      sum += weight;
    }
    assertEquals(1, sum, 1e-6);
  }
}
