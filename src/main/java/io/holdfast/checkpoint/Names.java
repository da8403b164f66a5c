package io.holdfast.checkpoint;

import java.util.Collection;
import java.util.Comparator;
import java.util.Optional;

/** Helps a message along: which known name did the user probably mean. */
final class Names {
  private Names() {}

  /** {@code "; did you mean X"} for the nearest known name, or nothing when none is near. */
  static String nearest(String name, Collection<String> known) {
    Optional<String> best =
        known.stream()
            .filter(candidate -> Math.abs(candidate.length() - name.length()) <= 8)
            .min(Comparator.comparingInt(candidate -> distance(name, candidate)));
    return best.filter(candidate -> distance(name, candidate) <= Math.max(2, name.length() / 4))
        .map(candidate -> ", did you mean " + candidate + "?")
        .orElse("");
  }

  /** Levenshtein distance, one row at a time. */
  static int distance(String a, String b) {
    int[] row = new int[b.length() + 1];
    for (int j = 0; j <= b.length(); j++) {
      row[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int substituted = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(substituted, 1 + Math.min(row[j], row[j - 1]));
      }
    }
    return row[b.length()];
  }
}
