package io.holdfast.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class PackingTest {
  private static Example example(int length) {
    return new Example(
        "x",
        new int[length],
        new boolean[length],
        -1,
        -1,
        Float.NaN,
        new Place(Path.of("rows.jsonl"), 1));
  }

  private static List<Example> examples(int... lengths) {
    return Arrays.stream(lengths).mapToObj(PackingTest::example).toList();
  }

  private static List<List<Integer>> lengths(List<List<Example>> rows) {
    return rows.stream().map(row -> row.stream().map(Example::length).toList()).toList();
  }

  /** By hand: 7, 6, 5, 4, 3, 3, 2 into tens, each to the fullest row it fits. */
  @Test
  void theLongestGoFirstAndToTheTightestRow() {
    var rows = Packing.rows(examples(3, 6, 2, 7, 3, 5, 4), 10);
    assertEquals(List.of(List.of(3, 7), List.of(6, 4), List.of(2, 3, 5)), lengths(rows));
  }

  @Test
  void oneThatIsLongerThanARowHasItsOwn() {
    var rows = Packing.rows(examples(2, 12, 3), 10);
    assertEquals(List.of(List.of(2, 3), List.of(12)), lengths(rows));
  }

  @Test
  void everyExampleIsInOneRowAndRowsAreNearlyFull() {
    var random = new SplittableRandom(9);
    for (int length : new int[] {7, 64, 1000}) {
      int count = 2 * Packing.BUFFER + 77;
      var examples =
          examples(random.ints(count, 1, length + 1).map(n -> 1 + n * n / (length + 1)).toArray());
      var rows = Packing.rows(examples, length);
      var seen = Collections.newSetFromMap(new IdentityHashMap<Example, Boolean>());
      long tokens = 0;
      for (var row : rows) {
        int used = row.stream().mapToInt(Example::length).sum();
        assertTrue(used <= length, used + " tokens in a row of " + length);
        assertTrue(seen.addAll(row), "an example is there twice");
        tokens += used;
      }
      assertEquals(count, seen.size());
      assertEquals(examples.stream().mapToLong(Example::length).sum(), tokens);
      long fewest = Math.ceilDiv(tokens, length);
      assertTrue(rows.size() <= fewest * 11 / 9 + 3, rows.size() + " rows, " + fewest + " may do");
    }
  }

  @Test
  void rowsStayNearTheirPlace() {
    var many = examples(new SplittableRandom(4).ints(3L * Packing.BUFFER, 1, 20).toArray());
    var rows = Packing.rows(many, 64);
    int at = 0;
    for (var row : rows) {
      int index = many.indexOf(row.getFirst());
      assertTrue(index / Packing.BUFFER >= at / Packing.BUFFER, "a row left its buffer");
      at = Math.max(at, index);
    }
  }
}
