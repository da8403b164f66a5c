package io.holdfast.eval;

import java.util.Collection;

/** How many answers complied, refused, or did neither. */
public record Tally(int comply, int refuse, int other) {
  static final Tally NONE = new Tally(0, 0, 0);

  /** Counts outcomes. */
  public static Tally of(Collection<Outcome> outcomes) {
    return outcomes.stream().map(Tally::one).reduce(NONE, Tally::plus);
  }

  private static Tally one(Outcome outcome) {
    return switch (outcome) {
      case COMPLY -> new Tally(1, 0, 0);
      case REFUSE -> new Tally(0, 1, 0);
      case OTHER -> new Tally(0, 0, 1);
    };
  }

  /** Both together. */
  public Tally plus(Tally more) {
    return new Tally(comply + more.comply, refuse + more.refuse, other + more.other);
  }

  /** All answers. */
  public int n() {
    return comply + refuse + other;
  }

  /** The share of one outcome; there must be an answer. */
  public Rate rate(Outcome outcome) {
    return Rate.of(
        switch (outcome) {
          case COMPLY -> comply;
          case REFUSE -> refuse;
          case OTHER -> other;
        },
        n());
  }
}
