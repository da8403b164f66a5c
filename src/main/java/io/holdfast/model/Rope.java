package io.holdfast.model;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.HoldfastException;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * Rotary position embedding (Su et al. 2021).
 *
 * @param theta base of the frequencies
 * @param scaling how the frequencies are stretched beyond the length of pretraining
 */
public record Rope(double theta, Scaling scaling) {
  /** A stretch of the frequencies. */
  public sealed interface Scaling {
    /** The frequencies as they are. */
    record None() implements Scaling {}

    /** Every frequency divided by one factor (position interpolation, Chen et al. 2023). */
    record Linear(double factor) implements Scaling {}

    /** Low frequencies divided, high ones kept, a ramp between (Llama 3.1). */
    record Llama3(double factor, double low, double high, int originalPositions)
        implements Scaling {}
  }

  static Rope of(JsonNode config, Path file) {
    // transformers 5 writes rope_parameters; older folders have rope_theta and rope_scaling.
    var node =
        config.path("rope_parameters").isObject()
            ? config.get("rope_parameters")
            : config.path("rope_scaling");
    var theta = new ConfigReader(config, file).number("rope_theta", 10000);
    if (!node.isObject()) {
      return new Rope(theta, new Scaling.None());
    }
    var reader = new ConfigReader(node, file);
    theta = reader.number("rope_theta", theta);
    var type = reader.text("rope_type", reader.text("type", "default"));
    return switch (type) {
      case "default" -> new Rope(theta, new Scaling.None());
      case "linear" -> new Rope(theta, new Scaling.Linear(reader.number("factor")));
      case "llama3" ->
          new Rope(
              theta,
              new Scaling.Llama3(
                  reader.number("factor"),
                  reader.number("low_freq_factor"),
                  reader.number("high_freq_factor"),
                  reader.size("original_max_position_embeddings")));
      default ->
          throw HoldfastException.input(
              "%s: rope type %s is not computed; known are default, linear, llama3", file, type);
    };
  }

  /**
   * Cosines and signed sines for positions {@code 0..positions-1}, in float32 as {@code
   * transformers} computes them.
   *
   * @return {@code [2, positions, headDim]}: the cosines, and the sines with the sign of
   *     rotate-half folded in, so that {@code rope(x) = x cos + roll(x, headDim/2) sin}
   */
  Tensor table(int positions, int headDim) {
    try (var scope = Scope.open()) {
      var exponent =
          torch
              .arange(new Scalar(0), new Scalar(headDim), new Scalar(2))
              .to(ScalarType.Float)
              .div(new Scalar(headDim));
      var frequencies = torch.pow(new Scalar(theta), exponent).reciprocal();
      frequencies = stretched(frequencies);
      var angles =
          torch
              .arange(new Scalar(positions))
              .to(ScalarType.Float)
              .unsqueeze(1)
              .mul(frequencies.unsqueeze(0));
      var cos = angles.cos();
      var sin = angles.sin();
      var table = Tensors.empty(2, positions, headDim);
      int half = headDim / 2;
      table.select(0, 0).narrow(1, 0, half).copy_(cos);
      table.select(0, 0).narrow(1, half, half).copy_(cos);
      table.select(0, 1).narrow(1, 0, half).copy_(sin.neg());
      table.select(0, 1).narrow(1, half, half).copy_(sin);
      return scope.keep(table);
    }
  }

  private Tensor stretched(Tensor frequencies) {
    return switch (scaling) {
      case Scaling.None() -> frequencies;
      case Scaling.Linear(double factor) -> frequencies.div(new Scalar(factor));
      case Scaling.Llama3(double factor, double low, double high, int original) -> {
        float[] values = Tensors.floats(frequencies);
        for (int i = 0; i < values.length; i++) {
          double wavelength = 2 * Math.PI / values[i];
          double ramp = Math.clamp((original / wavelength - low) / (high - low), 0.0, 1.0);
          values[i] = (float) ((1 - ramp) * values[i] / factor + ramp * values[i]);
        }
        yield Tensors.of(values, values.length);
      }
    };
  }
}
