package io.holdfast.geometry;

import io.holdfast.HoldfastException;
import io.holdfast.data.Example;
import io.holdfast.model.Decoder;
import io.holdfast.model.LengthBatches;
import java.util.Collection;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What several {@linkplain Reading readings} find in examples, layer by layer.
 *
 * @param byLayer slot of the residual stream to {@code [readings][examples][d]}, in float64
 */
public record States(SortedMap<Integer, double[][][]> byLayer) {
  private static final int BATCH = 64;
  private static final int TOKENS = 16384;

  /** Activations at one slot, {@code [readings][examples][d]}. */
  public double[][][] at(int layer) {
    return byLayer.get(layer);
  }

  /**
   * Reads examples in one pass. Means over several tokens are taken in float64.
   *
   * @param layers slots of the residual stream
   * @throws HoldfastException that names the example if it lacks a position, or if its activations
   *     are not finite
   */
  public static States capture(
      Decoder decoder, List<Example> examples, Collection<Integer> layers, List<Reading> readings) {
    var captured = new TreeMap<Integer, double[][][]>();
    layers.forEach(layer -> captured.put(layer, new double[readings.size()][examples.size()][]));
    var slots = List.copyOf(captured.keySet());
    int width = decoder.architecture().hidden();
    int[] row = {0};
    new ActivationReader(decoder, slots, new LengthBatches(BATCH, TOKENS))
        .read(
            examples.iterator(),
            example -> new ActivationReader.Wanted(example.ids(), tokens(example, readings)),
            (example, states) -> {
              for (int i = 0; i < slots.size(); i++) {
                int from = 0;
                for (int r = 0; r < readings.size(); r++) {
                  int count = readings.get(r).tokens(example).length;
                  double[] mean = mean(states.get(i), from, count, width);
                  requireFinite(mean, example, slots.get(i));
                  captured.get(slots.get(i))[r][row[0]] = mean;
                  from += count;
                }
              }
              row[0]++;
            });
    return new States(captured);
  }

  private static int[] tokens(Example example, List<Reading> readings) {
    return readings.stream()
        .flatMapToInt(
            reading -> {
              int[] tokens = reading.tokens(example);
              if (tokens.length == 0) {
                throw HoldfastException.input(
                    "%s: this row has no %s to read activations at; give it as messages%s",
                    example.place(),
                    reading.name(),
                    reading.position() == TokenPosition.RESPONSE ? " with an answer" : "");
              }
              return java.util.Arrays.stream(tokens);
            })
        .toArray();
  }

  private static double[] mean(float[] states, int from, int count, int width) {
    var mean = new double[width];
    for (int t = from; t < from + count; t++) {
      for (int j = 0; j < width; j++) {
        mean[j] += (double) states[t * width + j] / count;
      }
    }
    return mean;
  }

  private static void requireFinite(double[] state, Example example, int layer) {
    for (double value : state) {
      if (!Double.isFinite(value)) {
        throw HoldfastException.input(
            "%s: the activations of this row at layer %d are not finite (%s); the model's weights"
                + " are broken, or its type is too narrow for it: try float32",
            example.place(), layer, value);
      }
    }
  }
}
