package io.holdfast.geometry;

import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.LengthBatches;
import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;

/**
 * Reads the residual stream at chosen layers and tokens, without keeping what it has handed over.
 */
public final class ActivationReader {
  private final Decoder decoder;
  private final List<Integer> layers;
  private final LengthBatches batches;

  /**
   * A reader.
   *
   * @param layers slots of the residual stream, each once: 0 is the embedding output, l the output
   *     of block l
   * @param batches sequences read together, padded on the right
   */
  public ActivationReader(Decoder decoder, List<Integer> layers, LengthBatches batches) {
    this.decoder = decoder;
    this.layers = List.copyOf(layers);
    this.batches = batches.forModel(decoder.architecture());
  }

  /** A sequence and the tokens whose states are wanted. */
  public record Wanted(int[] ids, int[] positions) {}

  private record Item<T>(T source, Wanted wanted) {}

  /**
   * Reads any number of sequences.
   *
   * @param wanted what to read of an item
   * @param results is handed each item in order, with the states of each layer, {@code [positions *
   *     d]}
   */
  public <T> void read(
      Iterator<T> items, Function<T, Wanted> wanted, BiConsumer<T, List<float[]>> results) {
    var all =
        new Iterator<Item<T>>() {
          @Override
          public boolean hasNext() {
            return items.hasNext();
          }

          @Override
          public Item<T> next() {
            var item = items.next();
            return new Item<>(item, wanted.apply(item));
          }
        };
    batches.run(
        all,
        item -> item.wanted().ids().length,
        batch -> together(batch.stream().map(Item::wanted).toList()),
        (item, states) -> results.accept(item.source(), states));
  }

  private List<List<float[]>> together(List<Wanted> batch) {
    int rows = batch.size();
    int width = batch.stream().mapToInt(one -> one.ids().length).max().orElse(0);
    var ids = new long[rows * width];
    for (int r = 0; r < rows; r++) {
      int[] sequence = batch.get(r).ids();
      for (int t = 0; t < sequence.length; t++) {
        ids[r * width + t] = sequence[t];
      }
    }
    long[] index =
        IntStream.range(0, rows)
            .boxed()
            .flatMapToLong(
                r -> Arrays.stream(batch.get(r).positions()).mapToLong(p -> (long) r * width + p))
            .toArray();
    var tap = new Reader(layers, index, new float[layers.size()][]);
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      decoder.forward(
          Tokens.rightPadded(Tensors.of(ids, rows, width)), AdapterMode.ON, List.of(tap));
    }
    int hidden = decoder.architecture().hidden();
    var results = new ArrayList<List<float[]>>(Collections.nCopies(rows, null));
    int from = 0;
    for (int r = 0; r < rows; r++) {
      int start = from * hidden;
      from += batch.get(r).positions().length;
      int end = from * hidden;
      results.set(
          r, Arrays.stream(tap.states()).map(all -> Arrays.copyOfRange(all, start, end)).toList());
    }
    return results;
  }

  /** Copies the wanted tokens of a batch, layer by layer. */
  private record Reader(List<Integer> layers, long[] index, float[][] states) implements Tap {
    @Override
    public boolean wants(Site site) {
      return site.kind() == Site.Kind.BLOCK_INPUT && layers.contains(site.layer());
    }

    @Override
    public Tensor at(Site site, Tensor hidden) {
      try (var scope = Scope.open()) {
        var flat = hidden.reshape(-1, hidden.size(-1));
        states[layers.indexOf(site.layer())] =
            Tensors.floats(flat.index_select(0, Tensors.of(index, index.length)));
      }
      return hidden;
    }
  }
}
