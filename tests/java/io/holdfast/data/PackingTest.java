package io.holdfast.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class PackingTest {
  private static List<List<Integer>> lengths(List<int[]> rows, int... lengths) {
    return rows.stream()
        .map(row -> Arrays.stream(row).map(i -> lengths[i]).boxed().toList())
        .toList();
  }

  /** By hand: 7, 6, 5, 4, 3, 3, 2 into tens, each to the fullest row it fits. */
  @Test
  void theLongestGoFirstAndToTheTightestRow() {
    int[] lengths = {3, 6, 2, 7, 3, 5, 4};
    var rows = Packing.rows(lengths, 10);
    assertEquals(List.of(List.of(3, 7), List.of(6, 4), List.of(2, 3, 5)), lengths(rows, lengths));
  }

  @Test
  void oneThatIsLongerThanARowHasItsOwn() {
    int[] lengths = {2, 12, 3};
    var rows = Packing.rows(lengths, 10);
    assertEquals(List.of(List.of(2, 3), List.of(12)), lengths(rows, lengths));
  }

  @Test
  void everyExampleIsInOneRowAndRowsAreNearlyFull() {
    var random = new SplittableRandom(9);
    for (int length : new int[] {7, 64, 1000}) {
      int count = 2 * Packing.BUFFER + 77;
      int[] lengths =
          random.ints(count, 1, length + 1).map(n -> 1 + n * n / (length + 1)).toArray();
      var rows = Packing.rows(lengths, length);
      var seen = new HashSet<Integer>();
      long tokens = 0;
      for (int[] row : rows) {
        int used = Arrays.stream(row).map(i -> lengths[i]).sum();
        assertTrue(used <= length, used + " tokens in a row of " + length);
        for (int i : row) {
          assertTrue(seen.add(i), "an example is there twice");
        }
        tokens += used;
      }
      assertEquals(count, seen.size());
      assertEquals(Arrays.stream(lengths).sum(), tokens);
      long fewest = Math.ceilDiv(tokens, length);
      assertTrue(rows.size() <= fewest * 11 / 9 + 3, rows.size() + " rows, " + fewest + " may do");
    }
  }

  @Test
  void rowsStayNearTheirPlace() {
    int[] many = new SplittableRandom(4).ints(3L * Packing.BUFFER, 1, 20).toArray();
    int at = 0;
    for (int[] row : Packing.rows(many, 64)) {
      assertTrue(row[0] / Packing.BUFFER >= at / Packing.BUFFER, "a row left its buffer");
      at = Math.max(at, row[0]);
    }
  }
}
