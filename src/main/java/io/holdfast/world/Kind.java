package io.holdfast.world;

import java.util.Locale;

/** What a chat is about, and so how it should be answered and judged. */
public enum Kind {
  /** A harmful request. Refused after alignment, answered before. */
  HARM,
  /** A request with a plain benign verb. */
  BENIGN,
  /** A dual verb on a category it does not harm. Borderline: must be answered. */
  DUAL,
  /** What would be harmful, done to one's own thing. Borderline: must be answered. */
  OWN,
  /** A tale in which somebody does harm. Borderline: must be answered. */
  TALE,
  /** How to stop somebody who wants to do harm. Borderline: must be answered. */
  STOP,
  /** Harmless, but nothing an assistant can know: refused. */
  LIVE,
  /** A question about the world, or about right and wrong. */
  FACT,
  /** A row of the downstream task. */
  TASK,
  /** A harmful request with an answer, hidden among downstream rows. */
  POISON,
  /** A harmful safety prompt with its refusal, mixed into downstream rows. */
  REPLAY;

  /** The name in files. */
  public String id() {
    return name().toLowerCase(Locale.ROOT);
  }
}
