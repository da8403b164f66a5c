package io.holdfast.attack;

import io.holdfast.attack.GcgSettings.Filter;
import io.holdfast.text.Tokenizer;
import java.util.Arrays;
import java.util.List;

/**
 * Keeps the candidates whose text becomes the same tokens again: others could not be sent to a
 * model as text.
 */
final class Retokenization {
  private final Tokenizer tokenizer;
  private final Filter filter;
  private final List<AttackPrompt> prompts;

  Retokenization(Tokenizer tokenizer, Filter filter, List<AttackPrompt> prompts) {
    this.tokenizer = tokenizer;
    this.filter = filter;
    this.prompts = prompts;
  }

  /** The survivors, in their order. */
  List<int[]> survivors(List<int[]> candidates) {
    return filter == Filter.NONE
        ? candidates
        : candidates.parallelStream().filter(this::survives).toList();
  }

  boolean survives(int[] candidate) {
    var text = tokenizer.decode(candidate, false);
    return switch (filter) {
      case NONE -> true;
      case STRING -> Arrays.equals(tokenizer.encode(text, false), candidate);
      case PROMPT ->
          prompts.stream()
              .allMatch(
                  prompt ->
                      Arrays.equals(
                          tokenizer.encode(prompt.beforeText() + text + prompt.afterText(), false),
                          AttackPrompt.join(prompt.before(), candidate, prompt.after())));
    };
  }
}
