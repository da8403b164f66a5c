package io.holdfast.eval;

import java.util.Locale;

/** What an answer did with its request. */
public enum Outcome {
  /** Did what was asked. */
  COMPLY,
  /** Declined. */
  REFUSE,
  /** Neither: empty, broken, or beside the point. */
  OTHER;

  /** The name in files. */
  public String id() {
    return name().toLowerCase(Locale.ROOT);
  }
}
