package io.holdfast.cli.study;

import io.holdfast.geometry.Reach;
import java.util.Locale;

/**
 * One intervention of a study, by what it does to which carrier, where.
 *
 * @param mode the carrier
 * @param method what is done
 * @param tokens where in the text
 * @param layer whose carrier it is; additions are made there, ablations at every block
 * @param coefficient multiplies an addition
 * @param control what is different from the real thing
 * @param draw number of a random control, 0 where there is none
 */
public record Condition(
    Mode mode,
    Method method,
    Reach.Tokens tokens,
    int layer,
    double coefficient,
    Control control,
    int draw) {
  /** Carriers and what of them the other does not share. */
  public enum Mode {
    /** Harmfulness. */
    H("h"),
    /** Refusal. */
    R("r"),
    /** Both together. */
    BOTH("h+r"),
    /** Harmfulness without its part along refusal. */
    H_ALONE("h perp r"),
    /** Refusal without its part along harmfulness. */
    R_ALONE("r perp h"),
    /** What a file of directions holds. */
    BASIS("basis");

    private final String title;

    Mode(String title) {
      this.title = title;
    }
  }

  /** What is done to a hidden state. */
  public enum Method {
    /** The part along the carrier is removed, at every block. */
    ABLATE,
    /** The part along each slot's own carrier becomes that of answered prompts. */
    CENTRE,
    /** The carrier is added at one slot. */
    ADD
  }

  /** How a control differs. */
  public enum Control {
    /** It does not: this is no control. */
    NONE,
    /** A random direction, as long as the carrier. */
    RANDOM,
    /** What is read along the carrier is taken away along a random direction: deltas as large. */
    MATCHED,
    /** The carrier of the layer that is farthest away. */
    WRONG_LAYER,
    /** The difference of the same classes at the other position, as long as the carrier. */
    WRONG_POSITION
  }

  /** Whether it takes away what it is about. */
  boolean removes() {
    return method != Method.ADD || coefficient < 0;
  }

  /** The real thing. */
  static Condition of(Mode mode, Method method, Reach.Tokens tokens, int layer, double c) {
    return new Condition(mode, method, tokens, layer, c, Control.NONE, 0);
  }

  /** A control of this condition. */
  Condition with(Control other, int number) {
    return new Condition(mode, method, tokens, layer, coefficient, other, number);
  }

  /** The same for another carrier. */
  Condition with(Mode other) {
    return new Condition(other, method, tokens, layer, coefficient, control, draw);
  }

  /** The same with another dose. */
  Condition with(int otherLayer, double otherCoefficient) {
    return new Condition(mode, method, tokens, otherLayer, otherCoefficient, control, draw);
  }

  /** Such as {@code add -1 r at 4, template tokens; random 2}. */
  public String name() {
    var what = method.name().toLowerCase(Locale.ROOT);
    if (method == Method.ADD) {
      what += String.format(Locale.ROOT, " %+.2g", coefficient);
    }
    var where =
        tokens == Reach.Tokens.ALL
            ? "all tokens"
            : tokens.name().toLowerCase(Locale.ROOT).replace('_', ' ') + " tokens";
    var name =
        method == Method.CENTRE
            ? "%s %s, %s".formatted(what, mode.title, where)
            : "%s %s at %d, %s".formatted(what, mode.title, layer, where);
    return control == Control.NONE
        ? name
        : name
            + "; "
            + control.name().toLowerCase(Locale.ROOT).replace('_', ' ')
            + (draw > 0 ? " " + draw : "");
  }
}
