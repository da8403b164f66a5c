package io.holdfast.attack;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * How far AutoDAN has come; all that a resumed search needs.
 *
 * @param step steps done
 * @param population the prompts to score next
 * @param words scores of words, for HGA
 * @param history of the steps
 * @param ended why it ended before its last step, or empty
 */
public record AutoDanState(
    int step,
    List<String> population,
    Map<String, Double> words,
    List<GcgState.Step> history,
    String ended) {
  /** Makes the collections immutable. */
  public AutoDanState {
    population = List.copyOf(population);
    words = Collections.unmodifiableMap(new TreeMap<>(words));
    history = List.copyOf(history);
  }

  /** Whether the search came to an end before its last step. */
  public boolean over() {
    return !ended.isEmpty();
  }

  AutoDanState after(List<String> next, Map<String, Double> scores, GcgState.Step done) {
    var more = new ArrayList<>(history);
    more.add(done);
    return new AutoDanState(step + 1, next, scores, more, ended);
  }

  AutoDanState ended(String why) {
    return new AutoDanState(step, population, words, history, why);
  }
}
