package io.holdfast.world;

import static java.util.stream.Collectors.groupingBy;
import static java.util.stream.Collectors.toCollection;

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * What refusal alignment never sees: some verbs, one thing in eight of each category, and twelve
 * pairs in a hundred of the rest.
 *
 * <p>Pairs and things are chosen by MD5, not by the seed, so that every world has the same split
 * and figures of different seeds can be compared.
 */
public record Splits(Set<String> verbs, Set<Thing> things) {
  private static final int HELD_OUT_PERCENT = 12;

  static Splits of(List<String> verbs, List<Thing> things) {
    var byCategory =
        things.stream()
            .collect(groupingBy(Thing::category, LinkedHashMap::new, toCollection(ArrayList::new)));
    var held = new LinkedHashSet<Thing>();
    for (var members : byCategory.values()) {
      members.sort(Comparator.comparingInt(thing -> hash("ho" + thing.name(), 1_000_000)));
      held.addAll(members.subList(0, Math.max(2, members.size() / 8)));
    }
    return new Splits(Set.copyOf(verbs), held);
  }

  /** Whether alignment leaves this pair out, for any of the three reasons. */
  public boolean heldOut(Pair pair) {
    return byVerb(pair) || byThing(pair) || hash("p" + pair, 100) < HELD_OUT_PERCENT;
  }

  /** Whether the pair's verb is held out. */
  public boolean byVerb(Pair pair) {
    return verbs.contains(pair.verb().name());
  }

  /** Whether the pair's thing is held out. */
  public boolean byThing(Pair pair) {
    return things.contains(pair.thing());
  }

  /** MD5 of the text as one unsigned number, modulo {@code n}. */
  static int hash(String text, int n) {
    try {
      var digest = MessageDigest.getInstance("MD5").digest(text.getBytes(StandardCharsets.UTF_8));
      return new BigInteger(1, digest).mod(BigInteger.valueOf(n)).intValue();
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has MD5", e);
    }
  }
}
