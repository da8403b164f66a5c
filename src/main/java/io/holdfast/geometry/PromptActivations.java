package io.holdfast.geometry;

import io.holdfast.HoldfastException;
import io.holdfast.data.Example;
import io.holdfast.model.Decoder;
import io.holdfast.model.LengthBatches;
import java.util.Collection;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.ToIntFunction;
import java.util.stream.IntStream;

/**
 * Hidden states of prompts at one token each, by layer.
 *
 * @param byLayer slot of the residual stream to {@code [prompts][d]}, in the order of the prompts
 */
public record PromptActivations(SortedMap<Integer, double[][]> byLayer) {
  private static final int BATCH = 64;
  private static final int TOKENS = 16384;

  /** Activations at one slot of the residual stream. */
  public double[][] at(int layer) {
    return byLayer.get(layer);
  }

  /**
   * Captures activations with right-padded batches.
   *
   * @param layers slots of the residual stream
   * @param position of the token in each example; a negative one is an error
   */
  public static PromptActivations capture(
      Decoder decoder,
      List<Example> prompts,
      Collection<Integer> layers,
      ToIntFunction<Example> position) {
    var captured = new TreeMap<Integer, double[][]>();
    layers.forEach(layer -> captured.put(layer, new double[prompts.size()][]));
    var slots = List.copyOf(captured.keySet());
    int[] row = {0};
    new ActivationReader(decoder, slots, new LengthBatches(BATCH, TOKENS))
        .read(
            prompts.iterator(),
            example -> new ActivationReader.Wanted(example.ids(), at(example, position)),
            (_, states) -> {
              for (int i = 0; i < states.size(); i++) {
                captured.get(slots.get(i))[row[0]] = doubles(states.get(i));
              }
              row[0]++;
            });
    return new PromptActivations(captured);
  }

  private static int[] at(Example example, ToIntFunction<Example> position) {
    int at = position.applyAsInt(example);
    if (at < 0) {
      throw HoldfastException.input(
          "%s: this row has no prompt position to read activations at; give it as messages",
          example.place());
    }
    return new int[] {at};
  }

  private static double[] doubles(float[] values) {
    return IntStream.range(0, values.length).mapToDouble(i -> values[i]).toArray();
  }
}
