package io.holdfast.model;

import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * Rotary position embedding (Su et al. 2021).
 *
 * @param theta base of the frequencies
 * @param width values of a head that turn, its first ones; even
 * @param attentionFactor multiplies cosines and sines
 * @param scaling how the frequencies are stretched beyond the length of pretraining
 */
public record Rope(double theta, int width, double attentionFactor, Scaling scaling) {
  /** A stretch of the frequencies. */
  public sealed interface Scaling {
    /** The frequencies as they are. */
    record None() implements Scaling {}

    /** Every frequency divided by one factor (position interpolation, Chen et al. 2023). */
    record Linear(double factor) implements Scaling {}

    /** Low frequencies divided, high ones kept, a ramp between (Llama 3.1). */
    record Llama3(double factor, double low, double high, int originalPositions)
        implements Scaling {}

    /**
     * The ramp of YaRN (Peng et al. 2023): between the frequencies that turn {@code slow} and
     * {@code fast} times within the original length.
     */
    record Yarn(double factor, double fast, double slow, int originalPositions, boolean truncate)
        implements Scaling {}

    /**
     * A divisor for each frequency, one set for sequences up to the original length and one for
     * longer ones (LongRoPE, Ding et al. 2024).
     */
    record Long(double[] within, double[] beyond, int originalPositions) implements Scaling {}
  }

  /** Checks that pairs of values can turn. */
  public Rope {
    if (width < 2 || width % 2 != 0) {
      throw new IllegalArgumentException("a rotary embedding of %d values".formatted(width));
    }
  }

  /** Longest sequence of the first set of frequencies, where there are two. */
  int shortPositions() {
    return scaling instanceof Scaling.Long twofold
        ? twofold.originalPositions()
        : Integer.MAX_VALUE;
  }

  /**
   * Cosines and signed sines for positions {@code 0..positions-1}, in float32 as {@code
   * transformers} computes them.
   *
   * @param beyond whether the sequence is longer than {@link #shortPositions()}
   * @return {@code [2, positions, width]}: the cosines, and the sines with the sign of rotate-half
   *     folded in, so that {@code rope(x) = x cos + roll(x, width/2) sin}
   */
  Tensor table(int positions, boolean beyond) {
    try (var scope = Scope.open()) {
      var exponent =
          torch
              .arange(new Scalar(0), new Scalar(width), new Scalar(2))
              .to(ScalarType.Float)
              .div(new Scalar(width));
      var frequencies = stretched(torch.pow(new Scalar(theta), exponent), beyond);
      var angles =
          torch
              .arange(new Scalar(positions))
              .to(ScalarType.Float)
              .unsqueeze(1)
              .mul(frequencies.unsqueeze(0));
      var cos = angles.cos().mul(new Scalar(attentionFactor));
      var sin = angles.sin().mul(new Scalar(attentionFactor));
      var table = Tensors.emptyOnHost(ScalarType.Float, 2, positions, width);
      int half = width / 2;
      table.select(0, 0).narrow(1, 0, half).copy_(cos);
      table.select(0, 0).narrow(1, half, half).copy_(cos);
      table.select(0, 1).narrow(1, 0, half).copy_(sin.neg());
      table.select(0, 1).narrow(1, half, half).copy_(sin);
      return scope.keep(Tensors.placed(table));
    }
  }

  /**
   * The frequencies.
   *
   * @param wavelengths {@code theta^(2i/width)}, radians of a position over a frequency
   */
  private Tensor stretched(Tensor wavelengths, boolean beyond) {
    var frequencies = wavelengths.reciprocal();
    return switch (scaling) {
      case Scaling.None() -> frequencies;
      case Scaling.Linear(double factor) -> frequencies.div(new Scalar(factor));
      case Scaling.Llama3(double factor, double low, double high, int original) -> {
        float[] values = Tensors.floats(frequencies);
        for (int i = 0; i < values.length; i++) {
          double wavelength = 2 * Math.PI / values[i];
          double kept = Math.clamp((original / wavelength - low) / (high - low), 0.0, 1.0);
          values[i] = (float) ((1 - kept) * values[i] / factor + kept * values[i]);
        }
        yield Tensors.onHost(values, values.length);
      }
      case Scaling.Yarn yarn -> {
        double low =
            Math.max(
                0, yarn.truncate() ? Math.floor(at(yarn, yarn.fast())) : at(yarn, yarn.fast()));
        double high =
            Math.min(
                width - 1,
                yarn.truncate() ? Math.ceil(at(yarn, yarn.slow())) : at(yarn, yarn.slow()));
        high = high == low ? high + 0.001 : high;
        float[] values = Tensors.floats(frequencies);
        for (int i = 0; i < values.length; i++) {
          double divided = Math.clamp((i - low) / (high - low), 0.0, 1.0);
          values[i] = (float) (divided * values[i] / yarn.factor() + (1 - divided) * values[i]);
        }
        yield Tensors.onHost(values, values.length);
      }
      case Scaling.Long twofold -> {
        double[] divisors = beyond ? twofold.beyond() : twofold.within();
        float[] values = new float[divisors.length];
        for (int i = 0; i < values.length; i++) {
          values[i] = (float) divisors[i];
        }
        yield Tensors.onHost(values, values.length).mul(wavelengths).reciprocal();
      }
    };
  }

  /** The index of the frequency that turns so many times within the original length. */
  private double at(Scaling.Yarn yarn, double turns) {
    return width
        * Math.log(yarn.originalPositions() / (turns * 2 * Math.PI))
        / (2 * Math.log(theta));
  }
}
