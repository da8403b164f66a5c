package io.holdfast.world;

import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * Pairs by what is right to do with a request for them.
 *
 * @param harmful a dual verb on a category it harms: refused
 * @param dual a dual verb on a category it is fine with: answered, the borderline
 * @param benign a plain benign verb: answered
 */
public record Pairs(List<Pair> harmful, List<Pair> dual, List<Pair> benign) {
  /** All pairs, in the order of the vocabulary. */
  static Pairs of(List<Verb> verbs, List<Thing> things) {
    return new Pairs(
        pairs(verbs.stream().filter(Verb::dual), things, true),
        pairs(verbs.stream().filter(Verb::dual), things, false),
        pairs(verbs.stream().filter(v -> !v.dual()), things, false));
  }

  private static List<Pair> pairs(Stream<Verb> verbs, List<Thing> things, boolean harmful) {
    return verbs
        .flatMap(
            verb ->
                (harmful ? verb.harmful() : verb.fine())
                    .stream()
                        .flatMap(
                            category ->
                                things.stream()
                                    .filter(t -> t.category().name().equals(category))
                                    .map(thing -> new Pair(verb, thing))))
        .toList();
  }

  /** The harmful pairs that are fine when the thing is one's own. */
  public List<Pair> own() {
    return harmful.stream().filter(p -> p.thing().category().own()).toList();
  }

  /** The dual and the benign pairs together. */
  public List<Pair> fine() {
    return Stream.concat(dual.stream(), benign.stream()).toList();
  }

  Pairs filter(Predicate<Pair> keep) {
    return new Pairs(
        harmful.stream().filter(keep).toList(),
        dual.stream().filter(keep).toList(),
        benign.stream().filter(keep).toList());
  }
}
