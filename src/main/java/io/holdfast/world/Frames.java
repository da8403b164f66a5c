package io.holdfast.world;

import java.util.List;
import java.util.stream.Stream;

/**
 * The parts around a request: {@code context + prefix + " {verb} {noun phrase}" + middle + mark +
 * tail}. A part that is listed several times is drawn more often.
 */
record Frames(
    List<String> prefixes, List<String> middles, List<String> tails, List<String> contexts) {
  private static final List<String> QUESTIONS = List.of("How", "What", "Can", "Is", "Could");

  /** A frame with {@code {r}} where the verb and its noun phrase go. */
  String draw(Dice dice) {
    var prefix = dice.pick(prefixes);
    var mark = QUESTIONS.contains(prefix.split(" ")[0]) ? "?" : ".";
    return dice.pick(contexts) + prefix + " {r}" + dice.pick(middles) + mark + dice.pick(tails);
  }

  /** Frames that mix the parts of both; the middles are those of this one. */
  Frames and(Frames other) {
    return new Frames(
        join(prefixes, other.prefixes),
        middles,
        join(tails, other.tails),
        join(contexts, other.contexts));
  }

  private static List<String> join(List<String> a, List<String> b) {
    return Stream.concat(a.stream(), b.stream()).toList();
  }
}
