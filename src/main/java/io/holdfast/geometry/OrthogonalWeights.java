package io.holdfast.geometry;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.kernels.DType;
import io.holdfast.model.Decoder;
import io.holdfast.model.Weights;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Optional;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * A model that cannot write into a subspace of its residual stream: {@code W <- W - U U^T W} for
 * every matrix that writes there, which are the embedding and the output projections of attention
 * and MLP (Arditi et al. 2024, section 4.1). Where blocks norm only what they read this equals
 * {@link Intervention#ablating} at all tokens, up to rounding.
 */
public final class OrthogonalWeights implements AutoCloseable {
  private static final String EMBEDDING = "model.embed_tokens.weight";

  private final TensorOwner owner = new TensorOwner();
  private final SequencedMap<String, Tensor> weights = new LinkedHashMap<>();

  /**
   * The weights of a model in float32, those of its writers orthogonal to the subspace. A head that
   * is the embedding parts from it and stays as it is: reading is not writing.
   *
   * @throws HoldfastException where what a block adds is normed once more, which undoes it
   */
  public OrthogonalWeights(Decoder model, Basis subspace) {
    if (model.architecture().norms().sandwich()) {
      throw HoldfastException.usage(
          "this family norms what attention and MLP add, so that orthogonal weights do not ablate"
              + " a direction; intervene while the model computes instead");
    }
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var u = Tensors.of(subspace.vectors());
      model.weights().all().forEach((name, weight) -> put(name, edited(name, weight, u)));
      if (model.tied()) {
        put("lm_head.weight", model.head());
      }
    }
  }

  private void put(String name, Tensor weight) {
    weights.put(name, owner.own(weight.detach().to(ScalarType.Float).contiguous()));
  }

  /** One weight; what writes into the residual stream has {@code d} as its first dimension. */
  private static Tensor edited(String name, Tensor weight, Tensor u) {
    var wide = weight.to(ScalarType.Double);
    if (name.equals(EMBEDDING)) {
      return wide.sub(wide.matmul(u.t()).matmul(u));
    }
    if (name.contains(".self_attn.o_proj.") || name.contains(".mlp.down_proj.")) {
      return wide.sub(u.t().matmul(u.matmul(wide)));
    }
    return weight;
  }

  /** The weights by name; they live as long as this. */
  public SequencedMap<String, Tensor> all() {
    return weights;
  }

  /**
   * Writes or replaces a folder that {@code transformers} loads.
   *
   * @param source the folder of the model, whose configuration and tokenizer are copied
   */
  public void save(Path folder, Path source) {
    try (var files = ModelFolder.open(source)) {
      boolean parted =
          !files.names().contains("lm_head.weight") && weights.containsKey("lm_head.weight");
      var entries = weights.entrySet().stream().map(w -> Weights.entry(w.getKey(), w.getValue()));
      ModelFolder.save(
          folder,
          ModelFolder.describing(files.config(), Optional.of(DType.FLOAT32), parted),
          entries.toList(),
          source,
          ModelFolder.SHARD_BYTES);
    }
  }

  @Override
  public void close() {
    owner.close();
  }
}
