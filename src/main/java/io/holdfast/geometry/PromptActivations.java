package io.holdfast.geometry;

import io.holdfast.HoldfastException;
import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.ToIntFunction;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;

/**
 * Hidden states of prompts at one token each, by layer.
 *
 * @param byLayer slot of the residual stream to {@code [prompts][d]}, in the order of the prompts
 */
public record PromptActivations(SortedMap<Integer, double[][]> byLayer) {
  private static final int BATCH = 64;

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
    layers.forEach(
        layer -> captured.put(layer, new double[prompts.size()][decoder.architecture().hidden()]));
    var order =
        IntStream.range(0, prompts.size())
            .boxed()
            .sorted(Comparator.comparingInt(i -> prompts.get(i).ids().length))
            .toList();
    for (int start = 0; start < order.size(); start += BATCH) {
      var part = order.subList(start, Math.min(start + BATCH, order.size()));
      var examples = part.stream().map(prompts::get).toList();
      var batch = Batch.of(examples, 0);
      var index = new long[part.size()];
      for (int r = 0; r < index.length; r++) {
        int at = position.applyAsInt(examples.get(r));
        if (at < 0) {
          throw HoldfastException.input(
              "%s: this row has no prompt position to read activations at; give it as messages",
              examples.get(r).place());
        }
        index[r] = batch.starts()[r] + at;
      }
      try (var scope = Scope.open();
          var noGrad = NoGrad.on()) {
        decoder.forward(
            Tokens.of(batch),
            AdapterMode.ON,
            List.of(new Reader(new TreeSet<>(layers), index, part, captured)));
      }
    }
    return new PromptActivations(captured);
  }

  private record Reader(
      Set<Integer> layers,
      long[] index,
      List<Integer> rows,
      SortedMap<Integer, double[][]> captured)
      implements Tap {
    @Override
    public boolean wants(Site site) {
      return site.kind() == Site.Kind.BLOCK_INPUT && layers.contains(site.layer());
    }

    @Override
    public Tensor at(Site site, Tensor hidden) {
      try (var scope = Scope.open()) {
        int width = Math.toIntExact(hidden.size(-1));
        float[] values =
            Tensors.floats(
                hidden.reshape(-1, width).index_select(0, Tensors.of(index, index.length)));
        for (int r = 0; r < index.length; r++) {
          double[] into = captured.get(site.layer())[rows.get(r)];
          for (int i = 0; i < width; i++) {
            into[i] = values[r * width + i];
          }
        }
      }
      return hidden;
    }
  }
}
