package io.holdfast.guard;

import io.holdfast.data.Example;

/** Safety prompts without answers: they train nothing, they only hold the guards' positions. */
public final class Anchor {
  private Anchor() {}

  /** Whether an example is an anchor: nothing in it is a label. */
  public static boolean is(Example example) {
    for (boolean target : example.target()) {
      if (target) {
        return false;
      }
    }
    return true;
  }
}
