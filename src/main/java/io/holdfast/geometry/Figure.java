package io.holdfast.geometry;

/**
 * One measured number with what says how much it means.
 *
 * @param measure its name
 * @param layer slot of the residual stream, or -1 where it belongs to none
 * @param estimate the value and its 95 % bootstrap interval over prompts; NaN where there is none
 * @param nullMean mean of the value under shuffled labels, NaN where that says nothing
 * @param p share of shufflings that give as much, NaN where that says nothing
 * @param chance the closed form for random directions or subspaces, NaN where there is none
 */
public record Figure(
    String measure, int layer, Estimate estimate, double nullMean, double p, double chance) {
  /** A layer's place where a figure belongs to none. */
  public static final int NO_LAYER = -1;

  /** A number that nothing is drawn for. */
  public static Figure plain(String measure, int layer, double value, double chance) {
    return new Figure(
        measure,
        layer,
        new Estimate(value, Double.NaN, Double.NaN),
        Double.NaN,
        Double.NaN,
        chance);
  }

  /** The value itself. */
  public double value() {
    return estimate.value();
  }
}
