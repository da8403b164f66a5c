package io.holdfast.attack;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * How far a search has come; all that a resumed one needs.
 *
 * @param step steps done
 * @param buffer the strings it may go on from, best first; never empty
 * @param history what each step went on with
 * @param ended why it ended before its last step, or empty
 */
public record GcgState(int step, List<Entry> buffer, List<Step> history, String ended) {
  /** A string and its loss. */
  public record Entry(double loss, int[] string) {
    @Override
    public boolean equals(Object other) {
      return other instanceof Entry(double theirs, int[] tokens)
          && Double.compare(loss, theirs) == 0
          && Arrays.equals(string, tokens);
    }

    @Override
    public int hashCode() {
      return 31 * Double.hashCode(loss) + Arrays.hashCode(string);
    }
  }

  /**
   * One step.
   *
   * @param loss of its best candidate
   * @param best string of the buffer after it, as text
   * @param candidates that were scored
   */
  public record Step(double loss, String best, int candidates) {}

  /** Makes the lists immutable. */
  public GcgState {
    buffer = List.copyOf(buffer);
    history = List.copyOf(history);
  }

  /** A search that begins with these. */
  static GcgState start(List<Entry> buffer) {
    return new GcgState(0, sorted(buffer), List.of(), "");
  }

  /** The string to change next. */
  public int[] best() {
    return buffer.getFirst().string();
  }

  /** Whether the search came to an end before its last step. */
  public boolean over() {
    return !ended.isEmpty();
  }

  /** After a step: nanoGCG's buffer takes what is better than its worst, or, of size 0, all. */
  GcgState after(Entry found, int bufferSize) {
    var next = new ArrayList<>(buffer);
    if (bufferSize == 0) {
      next.clear();
      next.add(found);
    } else if (found.loss() < buffer.getLast().loss()) {
      if (next.size() >= bufferSize) {
        next.removeLast();
      }
      next.add(found);
    }
    return new GcgState(step + 1, sorted(next), history, ended);
  }

  GcgState with(Step done) {
    var more = new ArrayList<>(history);
    more.add(done);
    return new GcgState(step, buffer, more, ended);
  }

  GcgState ended(String why) {
    return new GcgState(step, buffer, history, why);
  }

  private static List<Entry> sorted(List<Entry> entries) {
    return entries.stream().sorted(Comparator.comparingDouble(Entry::loss)).toList();
  }
}
