package io.holdfast.attack;

import io.holdfast.attack.GcgState.Step;
import java.util.Comparator;

/**
 * What a search found.
 *
 * @param string the one of the smallest loss, as text
 * @param loss of it
 * @param state of the search at its end
 */
public record GcgResult(String string, double loss, GcgState state) {
  /** The result of a search of one step at least. */
  static GcgResult of(GcgState state) {
    var best = state.history().stream().min(Comparator.comparingDouble(Step::loss)).orElseThrow();
    return new GcgResult(best.best(), best.loss(), state);
  }
}
