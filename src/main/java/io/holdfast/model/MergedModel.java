package io.holdfast.model;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.TensorEntry;
import io.holdfast.kernels.DType;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * A base and its adapter as one model: {@code W + scale B A}, computed in float32 and rounded once,
 * and the weights that the adapter keeps in full. What the adapter leaves as it is stays so bit for
 * bit, unless another element type is asked for.
 *
 * @param base the files of the base
 * @param adapted the base with its adapter
 * @param dtype of what is written; each weight's own if empty
 */
public record MergedModel(ModelFolder base, AdaptedDecoder adapted, Optional<DType> dtype) {
  private static final String WEIGHT = ".weight";

  /**
   * Writes a folder that {@code transformers} loads into an existing folder that somebody else
   * makes whole.
   *
   * @throws HoldfastException if a number does not fit the element type, or the disk refuses
   */
  public void write(Path folder) {
    var decoder = adapted.decoder();
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var entries = decoder.weights().all().keySet().stream().map(this::entry).toList();
      boolean parted = decoder.architecture().tied() && !decoder.tied();
      ModelFolder.write(
          folder,
          ModelFolder.describing(base.config(), dtype, parted),
          entries,
          ModelFolder.SHARD_BYTES);
    }
    ModelFolder.copyTokenizer(base.path(), folder);
  }

  private TensorEntry entry(String name) {
    // A head that parts from its embedding has no tensor of its own in the base.
    var source = base.tensor(base.names().contains(name) ? name : SavedCopies.EMBEDDING);
    var type = dtype.orElse(source.dtype());
    try (var scope = Scope.open()) {
      var changed = changed(name, source);
      if (changed.isEmpty() && type == source.dtype()) {
        return source.named(name);
      }
      var value = changed.orElseGet(() -> floats(source)).to(Tensors.scalarType(type));
      if (!torch.isfinite(value).all().item_bool()) {
        throw HoldfastException.input(
            "%s: merged, %s holds numbers that are not finite in %s; choose another --dtype, or"
                + " look at the adapter",
            base.path(), name, type.safetensors());
      }
      return Weights.entry(name, scope.keep(value.contiguous()));
    }
  }

  /** A weight that the adapter changes, in float32. */
  private Optional<Tensor> changed(String name, TensorEntry source) {
    var saved = adapted.saved().get(name);
    if (saved != null) {
      return Optional.of(saved.detach());
    }
    Map<String, LowRank> updates = adapted.decoder().adapters();
    var update =
        name.endsWith(WEIGHT)
            ? updates.get(name.substring(0, name.length() - WEIGHT.length()))
            : null;
    return Optional.ofNullable(update).map(some -> some.product().add_(floats(source)));
  }

  private static Tensor floats(TensorEntry entry) {
    var shared = Tensors.sharing(entry.data(), entry.dtype(), entry.sizes());
    return Tensors.placed(shared).to(ScalarType.Float);
  }
}
