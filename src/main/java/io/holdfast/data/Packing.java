package io.holdfast.data;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * Puts short examples together in rows of a given length, so that a row is nearly full: best-fit
 * decreasing (Johnson et al. 1974) over buffers of consecutive examples, which needs at most 11/9
 * of the fewest possible rows and one more in each buffer.
 */
public final class Packing {
  /** Examples that are packed together; rows of one buffer keep near their place in the data. */
  static final int BUFFER = 1024;

  private Packing() {}

  /**
   * The rows, each with the numbers of its examples. Every example is in exactly one row; one that
   * is longer than a row has one of its own.
   *
   * @param lengths tokens of each example, in the order in which they are taken
   * @param length tokens of a row
   */
  public static List<int[]> rows(int[] lengths, int length) {
    var rows = new ArrayList<int[]>();
    for (int start = 0; start < lengths.length; start += BUFFER) {
      rows.addAll(buffer(lengths, start, Math.min(start + BUFFER, lengths.length), length));
    }
    return rows;
  }

  private static List<int[]> buffer(int[] lengths, int from, int to, int length) {
    var longestFirst =
        IntStream.range(from, to)
            .boxed()
            .sorted(Comparator.comparingInt(i -> -lengths[i]))
            .toList();
    var rows = new ArrayList<List<Integer>>();
    var byRoom = new TreeMap<Integer, List<List<Integer>>>();
    for (int i : longestFirst) {
      int tokens = lengths[i];
      var tightest = byRoom.ceilingEntry(tokens);
      List<Integer> row;
      int room;
      if (tightest == null) {
        row = new ArrayList<>();
        rows.add(row);
        room = length;
      } else {
        row = tightest.getValue().removeLast();
        room = tightest.getKey();
        if (tightest.getValue().isEmpty()) {
          byRoom.remove(room);
        }
      }
      row.add(i);
      byRoom.computeIfAbsent(room - tokens, _ -> new ArrayList<>()).add(row);
    }
    rows.forEach(row -> row.sort(null));
    rows.sort(Comparator.comparing(List::getFirst));
    return rows.stream().map(row -> row.stream().mapToInt(i -> i).toArray()).toList();
  }
}
