package io.holdfast.geometry;

/**
 * Activations of prompts that show a concept and of prompts that do not, at one slot and position.
 *
 * @param with {@code [n][d]}
 * @param without {@code [m][d]}
 */
public record Contrast(double[][] with, double[][] without) {
  /** The difference of the means. */
  public Carrier carrier() {
    return Carrier.between(with, without);
  }

  /** What the prompts that show it look like from the mean of the others. */
  public Cone cone() {
    return Cone.of(with, without);
  }

  /** Each prompt that shows it minus the mean of the others, {@code [n][d]}. */
  public double[][] differences() {
    return Carrier.differences(with, without);
  }
}
