package io.holdfast.world;

/** A verb and the thing it is done to: the unit that is harmful or not, trained or held out. */
public record Pair(Verb verb, Thing thing) {
  /** Whether doing this to somebody else's thing is wrong. */
  public boolean harmful() {
    return verb.harmful().contains(thing.category().name());
  }

  /** Verb and thing, for instance {@code forge|passport}. */
  @Override
  public String toString() {
    return verb.name() + "|" + thing.name();
  }
}
