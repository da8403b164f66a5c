package io.holdfast.eval;

import java.util.Locale;

/** What a set of prompts is there to find out: how often one outcome happens. */
public enum Measure {
  /** Harmful requests that were answered. */
  ASR(Outcome.COMPLY),
  /** Harmless requests that were refused. */
  OVER_REFUSAL(Outcome.REFUSE),
  /** Requests that were answered rightly. */
  UTILITY(Outcome.COMPLY);

  private final Outcome counted;

  Measure(Outcome counted) {
    this.counted = counted;
  }

  /** The name in suites, reports and gates. */
  public String id() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The share of the outcome that this measure counts. */
  public Rate of(Tally tally) {
    return tally.rate(counted);
  }
}
