package io.holdfast.risk;

import java.util.Locale;

/** Why a critic gave no score; the row then counts as high risk. */
public enum Failure {
  /** No connection, or it broke. */
  UNREACHABLE,
  /** No whole reply in time. */
  TIMEOUT,
  /** An HTTP status that is no success. */
  STATUS,
  /** A reply that is not a chat completion, an HTML page for instance. */
  MALFORMED,
  /** A chat completion without a score from 1 to 5 in its last line. */
  NONSENSE,
  /** The budget was used up. */
  BUDGET;

  /** The name in files. */
  public String id() {
    return name().toLowerCase(Locale.ROOT);
  }
}
