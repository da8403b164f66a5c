package io.holdfast.guard;

import io.holdfast.checkpoint.Safetensors;
import io.holdfast.checkpoint.SafetensorsWriter;
import io.holdfast.checkpoint.SafetensorsWriter.Slot;
import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.data.Place;
import io.holdfast.kernels.DType;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.LengthBatches;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;

/**
 * What the reference says at every place of an example where something is predicted: one row of
 * numbers for each token that is learnt, and one for an anchor. Computed in one pass before
 * training, kept on disk and mapped from there.
 */
public final class KeptRows implements AutoCloseable {
  private static final String TENSOR = "rows";

  /** Read one at a time: hidden states of a batch are as much as should wait to be written. */
  private static final LengthBatches BATCHES = new LengthBatches(32, 8192, 1, length -> 0);

  private final Safetensors file;
  private final MemorySegment data;
  private final DType dtype;
  private final int width;
  private final Map<Key, Long> starts;

  /** An example by where it stands and how long it is. */
  private record Key(Place place, int length) {
    static Key of(Example example) {
      return new Key(example.place(), example.length());
    }
  }

  /** From hidden states to the rows that are kept. */
  @FunctionalInterface
  public interface Reading {
    /**
     * Reads one example.
     *
     * @param hidden {@code [places, d]} after the final norm, at {@link #places}
     * @return {@code [places, width]} of the type that is kept
     */
    Tensor of(Example example, Tensor hidden);
  }

  private KeptRows(Safetensors file, int width, Map<Key, Long> starts) {
    this.file = file;
    var tensor = file.get(TENSOR);
    this.data = tensor.data();
    this.dtype = tensor.dtype();
    this.width = width;
    this.starts = starts;
  }

  /**
   * Where an example has rows: before each token that is learnt, or at the end of an anchor's
   * prompt; ascending.
   */
  public static int[] places(Example example) {
    if (Anchor.is(example)) {
      return new int[] {example.promptEnd()};
    }
    return IntStream.range(1, example.length())
        .filter(t -> example.target()[t])
        .map(t -> t - 1)
        .toArray();
  }

  /**
   * The rows of examples, from the file if it holds them already.
   *
   * @param path where they are kept
   * @param key names everything they depend on: model, data, what is read
   * @param width numbers of a row
   * @param dtype of the numbers
   */
  public static KeptRows of(
      Path path,
      String key,
      List<Example> examples,
      int width,
      DType dtype,
      Decoder reference,
      Reading reading) {
    var starts = new HashMap<Key, Long>();
    // A file that is given twice has its rows once.
    var first = new BitSet();
    long total = 0;
    for (int i = 0; i < examples.size(); i++) {
      var example = examples.get(i);
      if (starts.putIfAbsent(Key.of(example), total) == null) {
        first.set(i);
        total += places(example).length;
      }
    }
    if (!holds(path, key)) {
      compute(
          path,
          key,
          first.stream().mapToObj(examples::get).iterator(),
          new Slot(TENSOR, dtype, List.of(total, (long) width)),
          reference,
          reading);
    }
    return new KeptRows(Safetensors.open(path), width, starts);
  }

  private static boolean holds(Path path, String key) {
    if (!Files.isRegularFile(path)) {
      return false;
    }
    try (var kept = Safetensors.open(path)) {
      return key.equals(kept.metadata().get("key"));
    }
  }

  private static void compute(
      Path path,
      String key,
      Iterator<Example> examples,
      Slot slot,
      Decoder reference,
      Reading reading) {
    try {
      Files.createDirectories(path.toAbsolutePath().getParent());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    SafetensorsWriter.stream(
        path,
        List.of(slot),
        Map.of("key", key),
        sink ->
            BATCHES
                .forModel(reference.architecture())
                .run(
                    examples,
                    Example::length,
                    batch -> read(batch, reference, reading),
                    (_, rows) -> sink.addPart(MemorySegment.ofArray(rows))));
  }

  private static List<byte[]> read(List<Example> examples, Decoder reference, Reading reading) {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var batch = Batch.of(examples, 0);
      var hidden = reference.forward(Tokens.of(batch), AdapterMode.ON, Tap.NONE);
      return IntStream.range(0, examples.size())
          .mapToObj(
              row -> {
                var example = examples.get(row);
                long[] at = Arrays.stream(places(example)).asLongStream().toArray();
                var here = hidden.select(0, row).index_select(0, Tensors.of(at, at.length));
                return Tensors.hostMemory(reading.of(example, here).contiguous())
                    .toArray(ValueLayout.JAVA_BYTE);
              })
          .toList();
    }
  }

  /** The rows of one example, mapped; valid until this is closed. */
  public MemorySegment rows(Example example) {
    long row = (long) width * dtype.bytes();
    return data.asSlice(starts.get(Key.of(example)) * row, places(example).length * row);
  }

  /** The type of the numbers. */
  public DType dtype() {
    return dtype;
  }

  /** Numbers of a row. */
  public int width() {
    return width;
  }

  @Override
  public void close() {
    file.close();
  }
}
