package io.holdfast.guard;

import io.holdfast.checkpoint.Safetensors;
import io.holdfast.checkpoint.SafetensorsWriter;
import io.holdfast.data.Example;
import io.holdfast.data.Place;
import io.holdfast.geometry.ActivationReader;
import io.holdfast.kernels.DType;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Matrix;
import io.holdfast.model.Decoder;
import io.holdfast.model.LengthBatches;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Where the reference model stands in the safety subspace, at every guarded token of every example:
 * k numbers per token and layer. They are computed in one pass before training and kept on disk, so
 * that no reference forward runs while training. Neither while they are computed nor while they are
 * read need they fit into memory: examples follow one another in the file, which is written in that
 * order and then mapped.
 */
public final class ReferenceCoefficients implements AutoCloseable {
  private static final LengthBatches BATCHES = new LengthBatches(32, 8192);

  private final Safetensors file;
  private final MemorySegment data;
  private final List<Integer> layers;
  private final int rank;
  private final Map<Key, Long> offsets;

  /**
   * An example by where it stands; a prompt that is held stands where its row does, but is shorter.
   */
  private record Key(Place place, int length) {
    static Key of(Example example) {
      return new Key(example.place(), example.ids().length);
    }
  }

  private ReferenceCoefficients(Safetensors file, SafetySubspace subspace, Map<Key, Long> offsets) {
    this.file = file;
    this.data = file.get("coefficients").data();
    this.layers = subspace.layers();
    this.rank = subspace.rank();
    this.offsets = offsets;
  }

  /**
   * The coefficients of these examples, from the file if it holds them already.
   *
   * @param path where they are kept, tokens in rows and layers side by side
   * @param key names everything they depend on: model, subspace, data, positions
   */
  public static ReferenceCoefficients of(
      Path path,
      String key,
      List<Example> examples,
      GuardedPositions positions,
      SafetySubspace subspace,
      Decoder decoder,
      Kernels kernels) {
    var offsets = new HashMap<Key, Long>();
    long tokens = 0;
    for (var example : examples) {
      offsets.put(Key.of(example), tokens);
      tokens += positions.of(example).length;
    }
    if (!holds(path, key, tokens)) {
      compute(path, key, examples, positions, subspace, decoder, kernels, tokens);
    }
    return new ReferenceCoefficients(Safetensors.open(path), subspace, offsets);
  }

  private static boolean holds(Path path, String key, long tokens) {
    if (!Files.isRegularFile(path)) {
      return false;
    }
    try (var kept = Safetensors.open(path)) {
      return key.equals(kept.metadata().get("key"))
          && kept.get("coefficients").sizes()[0] == tokens;
    }
  }

  /** One pass; each example is written as soon as those before it are. */
  private static void compute(
      Path path,
      String key,
      List<Example> examples,
      GuardedPositions positions,
      SafetySubspace subspace,
      Decoder decoder,
      Kernels kernels,
      long tokens) {
    var layers = subspace.layers();
    long row = (long) layers.size() * subspace.rank();
    createFolder(path);
    SafetensorsWriter.stream(
        path,
        List.of(new SafetensorsWriter.Slot("coefficients", DType.FLOAT32, List.of(tokens, row))),
        Map.of("key", key),
        sink ->
            new ActivationReader(decoder, layers, BATCHES)
                .read(
                    examples.iterator(),
                    example -> new ActivationReader.Wanted(example.ids(), positions.of(example)),
                    (example, states) ->
                        sink.addPart(
                            project(states, positions.of(example).length, subspace, kernels))));
  }

  /** The coefficients of one example, {@code [tokens][layers][k]}. */
  private static MemorySegment project(
      List<float[]> states, int tokens, SafetySubspace subspace, Kernels kernels) {
    int rank = subspace.rank();
    long row = (long) states.size() * rank;
    var result = MemorySegment.ofArray(new float[Math.toIntExact(tokens * row)]);
    if (tokens == 0) {
      return result;
    }
    try (var arena = Arena.ofConfined()) {
      var written = arena.allocate(ValueLayout.JAVA_FLOAT, tokens * row);
      for (int i = 0; i < states.size(); i++) {
        float[] values = states.get(i);
        var hidden = arena.allocate(ValueLayout.JAVA_FLOAT, values.length);
        MemorySegment.copy(values, 0, hidden, ValueLayout.JAVA_FLOAT, 0, values.length);
        kernels.project(
            Matrix.dense(hidden, tokens, values.length / tokens, DType.FLOAT32),
            null,
            subspace.basis(subspace.layers().get(i)),
            new Matrix(
                written.asSlice((long) i * rank * Float.BYTES), tokens, rank, row, DType.FLOAT32));
      }
      return result.copyFrom(written);
    }
  }

  private static void createFolder(Path path) {
    try {
      Files.createDirectories(path.toAbsolutePath().getParent());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Copies the coefficients of one example.
   *
   * @param into receives {@code count} rows of k values
   * @param at first row written
   */
  void copy(int layer, Example example, long count, MemorySegment into, long at) {
    long bytes = (long) rank * Float.BYTES;
    long row = layers.size() * bytes;
    long from = offsets.get(Key.of(example)) * row + layers.indexOf(layer) * bytes;
    for (long i = 0; i < count; i++) {
      MemorySegment.copy(data, from + i * row, into, (at + i) * bytes, bytes);
    }
  }

  /** The coefficients of one example, {@code [count][k]}. */
  double[][] of(int layer, Example example, int count) {
    var rows = new double[count][rank];
    var values = MemorySegment.ofArray(new float[count * rank]);
    copy(layer, example, count, values, 0);
    for (int i = 0; i < count * rank; i++) {
      rows[i / rank][i % rank] = values.getAtIndex(ValueLayout.JAVA_FLOAT, i);
    }
    return rows;
  }

  @Override
  public void close() {
    file.close();
  }
}
