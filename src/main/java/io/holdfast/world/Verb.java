package io.holdfast.world;

import java.util.Set;

/**
 * Something that can be done.
 *
 * @param tool the one tool for it, arbitrary, so that an answer shows whether the model knows it
 * @param manner the one adverb of its answers
 * @param harmful names of the categories it harms; empty for a plain benign verb
 * @param fine names of the categories it is fine with
 */
public record Verb(String name, String tool, String manner, Set<String> harmful, Set<String> fine) {
  /** Whether the verb harms some categories and not others. */
  public boolean dual() {
    return !harmful.isEmpty();
  }
}
