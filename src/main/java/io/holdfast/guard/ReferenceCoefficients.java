package io.holdfast.guard;

import io.holdfast.checkpoint.Safetensors;
import io.holdfast.checkpoint.SafetensorsWriter;
import io.holdfast.checkpoint.TensorEntry;
import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.data.Examples;
import io.holdfast.data.Place;
import io.holdfast.kernels.DType;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Matrix;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * Where the reference model stands in the safety subspace, at every guarded token of every example:
 * k numbers per token and layer. They are computed in one pass before training and kept on disk, so
 * that no reference forward runs while training.
 */
public final class ReferenceCoefficients implements AutoCloseable {
  private static final int BATCH = 32;

  private final Safetensors file;
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

  private ReferenceCoefficients(Safetensors file, int rank, Map<Key, Long> offsets) {
    this.file = file;
    this.rank = rank;
    this.offsets = offsets;
  }

  /**
   * The coefficients of these examples, from the file if it holds them already.
   *
   * @param path where they are kept
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
    long total = 0;
    for (var example : examples) {
      offsets.put(Key.of(example), total);
      total += positions.of(example).length;
    }
    if (!holds(path, key)) {
      compute(path, key, examples, positions, subspace, decoder, kernels, offsets, total);
    }
    return new ReferenceCoefficients(Safetensors.open(path), subspace.rank(), offsets);
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
      List<Example> examples,
      GuardedPositions positions,
      SafetySubspace subspace,
      Decoder decoder,
      Kernels kernels,
      Map<Key, Long> offsets,
      long total) {
    try (var arena = Arena.ofConfined()) {
      var coefficients = new HashMap<Integer, MemorySegment>();
      for (int layer : subspace.layers()) {
        coefficients.put(
            layer, arena.allocate(ValueLayout.JAVA_FLOAT, Math.max(1, total * subspace.rank())));
      }
      int[] lengths = Examples.lengths(examples);
      var byLength =
          IntStream.range(0, lengths.length)
              .boxed()
              .sorted(Comparator.comparingInt(i -> lengths[i]))
              .toList();
      for (int start = 0; start < byLength.size(); start += BATCH) {
        var some = byLength.subList(start, Math.min(start + BATCH, byLength.size()));
        var batch = Batch.of(some.stream().map(examples::get).toList(), 0);
        try (var scope = Scope.open();
            var noGrad = NoGrad.on()) {
          var tap = new Capture(batch, positions, subspace, kernels, offsets, coefficients);
          decoder.forward(Tokens.of(batch), AdapterMode.ON, List.of(tap));
        }
      }
      var tensors = new ArrayList<TensorEntry>();
      for (int layer : subspace.layers()) {
        tensors.add(
            new TensorEntry(
                "layer." + layer,
                DType.FLOAT32,
                List.of(total, (long) subspace.rank()),
                coefficients.get(layer).asSlice(0, total * subspace.rank() * Float.BYTES)));
      }
      createFolder(path);
      SafetensorsWriter.write(path, tensors, Map.of("key", key));
    }
  }

  private static void createFolder(Path path) {
    try {
      Files.createDirectories(path.toAbsolutePath().getParent());
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  /**
   * Copies the coefficients of one example.
   *
   * @param into receives {@code count} rows of k values
   * @param at first row written
   */
  void copy(int layer, Example example, long count, MemorySegment into, long at) {
    long row = (long) rank * Float.BYTES;
    var from = file.get("layer." + layer).data();
    MemorySegment.copy(from, offsets.get(Key.of(example)) * row, into, at * row, count * row);
  }

  @Override
  public void close() {
    file.close();
  }

  private record Capture(
      Batch batch,
      GuardedPositions positions,
      SafetySubspace subspace,
      Kernels kernels,
      Map<Key, Long> offsets,
      Map<Integer, MemorySegment> coefficients)
      implements Tap {
    @Override
    public boolean wants(Site site) {
      return site.kind() == Site.Kind.BLOCK_INPUT && coefficients.containsKey(site.layer());
    }

    @Override
    public Tensor at(Site site, Tensor hidden) {
      var h = Tensors.matrix(hidden.to(ScalarType.Float).contiguous());
      long row = (long) subspace.rank() * Float.BYTES;
      try (var arena = Arena.ofConfined()) {
        for (int r = 0; r < batch.examples().size(); r++) {
          var example = batch.examples().get(r);
          int[] guarded = positions.of(example);
          int count = guarded.length;
          if (count == 0) {
            continue;
          }
          var rows = arena.allocate(ValueLayout.JAVA_LONG, count);
          for (int i = 0; i < count; i++) {
            rows.setAtIndex(ValueLayout.JAVA_LONG, i, batch.starts()[r] + guarded[i]);
          }
          var into =
              coefficients
                  .get(site.layer())
                  .asSlice(offsets.get(Key.of(example)) * row, count * row);
          kernels.project(
              h,
              rows,
              subspace.basis(site.layer()),
              Matrix.dense(into, count, subspace.rank(), DType.FLOAT32));
        }
      }
      return hidden;
    }
  }
}
