package io.holdfast.model;

import static org.bytedeco.pytorch.global.torch.embedding;
import static org.bytedeco.pytorch.global.torch.rms_norm;
import static org.bytedeco.pytorch.global.torch.scaled_dot_product_attention;
import static org.bytedeco.pytorch.global.torch.silu;

import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;

/**
 * A causal transformer of the Llama family on LibTorch: pre-norm blocks with rotary attention
 * (grouped queries where {@code kvHeads < heads}) and a gated MLP.
 *
 * <p>{@link #forward} stops at the final norm; the head belongs to whoever needs logits, because
 * training must never hold one logit per token and vocabulary entry at once.
 */
public final class Decoder implements AutoCloseable {
  private final Architecture architecture;
  private final Weights weights;
  private final TensorOwner owner = new TensorOwner();
  private final List<Block> blocks = new ArrayList<>();
  private final SequencedMap<String, Projection> projections = new LinkedHashMap<>();
  private final TensorOptional finalNorm;
  private final DoubleOptional eps;
  private Tensor ropeTable;

  private record Block(
      TensorOptional attentionNorm,
      Projection query,
      Projection key,
      Projection value,
      Projection output,
      TensorOptional mlpNorm,
      Projection gate,
      Projection up,
      Projection down) {}

  /** A decoder that computes with these weights and closes them with itself. */
  public Decoder(Architecture architecture, Weights weights) {
    this.architecture = architecture;
    this.weights = weights;
    this.eps = owner.own(new DoubleOptional(architecture.normEps()));
    this.finalNorm = norm("model.norm.weight");
    for (int layer = 0; layer < architecture.layers(); layer++) {
      var prefix = "model.layers." + layer + ".";
      boolean attentionBias = architecture.attentionBias();
      blocks.add(
          new Block(
              norm(prefix + "input_layernorm.weight"),
              projection(prefix + "self_attn.q_proj", attentionBias),
              projection(prefix + "self_attn.k_proj", attentionBias),
              projection(prefix + "self_attn.v_proj", attentionBias),
              projection(prefix + "self_attn.o_proj", attentionBias),
              norm(prefix + "post_attention_layernorm.weight"),
              projection(prefix + "mlp.gate_proj", architecture.mlpBias()),
              projection(prefix + "mlp.up_proj", architecture.mlpBias()),
              projection(prefix + "mlp.down_proj", architecture.mlpBias())));
    }
  }

  /**
   * The model of a Hugging Face folder, its weights the mapped files themselves: for reading, not
   * for training.
   */
  public static Decoder load(Path folder) {
    var files = ModelFolder.open(folder);
    var architecture = Architecture.of(files.config(), folder);
    return new Decoder(architecture, Weights.mapped(files, architecture));
  }

  /** The same model with weights in memory of its own, which training may write. */
  public Decoder copy() {
    return new Decoder(architecture, weights.copy());
  }

  private TensorOptional norm(String name) {
    return owner.own(new TensorOptional(weights.get(name)));
  }

  private Projection projection(String module, boolean biased) {
    var made =
        new Projection(
            module, weights.get(module + ".weight"), biased ? weights.get(module + ".bias") : null);
    projections.put(module, made);
    return made;
  }

  /** The shape of this model. */
  public Architecture architecture() {
    return architecture;
  }

  /** The weights by their names in the checkpoint. */
  public Weights weights() {
    return weights;
  }

  /** The head {@code [V, d]}: the embedding where they are tied. */
  public Tensor head() {
    return weights.get(architecture.tied() ? "model.embed_tokens.weight" : "lm_head.weight");
  }

  /** Every linear map by its module name, in the order of the forward pass. */
  SequencedMap<String, Projection> projections() {
    return projections;
  }

  /** The adapters that are attached, by module name. */
  public SequencedMap<String, LowRank> adapters() {
    var attached = new LinkedHashMap<String, LowRank>();
    projections.forEach(
        (module, projection) -> {
          if (projection.adapter() != null) {
            attached.put(module, projection.adapter());
          }
        });
    return attached;
  }

  /** Attaches adapters by module name; the decoder takes their tensors over. */
  void attach(Map<String, LowRank> adapters) {
    adapters.forEach(
        (module, adapter) -> {
          owner.own(adapter.a());
          owner.own(adapter.b());
          projections.get(module).attach(adapter);
        });
  }

  /**
   * Hidden states after the final norm.
   *
   * @param taps are shown the residual stream on the way
   * @return {@code [batch, time, d]}, in the caller's scope
   */
  public Tensor forward(Tokens tokens, AdapterMode mode, List<Tap> taps) {
    try (var scope = Scope.open()) {
      int time = Math.toIntExact(tokens.ids().size(1));
      var rotation = rotation(tokens, time);
      var hidden = embedding(weights.get("model.embed_tokens.weight"), tokens.ids());
      for (int layer = 0; layer < blocks.size(); layer++) {
        hidden = tapped(Site.residual(layer), hidden, taps);
        hidden = block(layer, hidden, tokens, rotation, mode, taps);
      }
      hidden = tapped(Site.residual(blocks.size()), hidden, taps);
      if (tokens.cache() != null) {
        tokens.cache().advance(time);
      }
      return scope.keep(normed(hidden, finalNorm));
    }
  }

  private Tensor block(
      int layer,
      Tensor hidden,
      Tokens tokens,
      Rotation rotation,
      AdapterMode mode,
      List<Tap> taps) {
    var block = blocks.get(layer);
    var x = normed(hidden, block.attentionNorm());
    var query = rotation.apply(split(block.query().apply(x, mode), architecture.heads()));
    var key = rotation.apply(split(block.key().apply(x, mode), architecture.kvHeads()));
    var value = split(block.value().apply(x, mode), architecture.kvHeads());
    if (tokens.cache() != null) {
      key = tokens.cache().appendKeys(layer, key);
      value = tokens.cache().appendValues(layer, value);
    }
    var mixed = attention(query, repeated(key), repeated(value), tokens.mask());
    var merged =
        mixed
            .transpose(1, 2)
            .reshape(x.size(0), x.size(1), (long) architecture.heads() * architecture.headDim());
    var added = block.output().apply(merged, mode);
    hidden = hidden.add(tapped(new Site(Site.Kind.ATTENTION_OUTPUT, layer), added, taps));

    x = normed(hidden, block.mlpNorm());
    var gated = silu(block.gate().apply(x, mode)).mul(block.up().apply(x, mode));
    added = block.down().apply(gated, mode);
    return hidden.add(tapped(new Site(Site.Kind.MLP_OUTPUT, layer), added, taps));
  }

  private static Tensor tapped(Site site, Tensor hidden, List<Tap> taps) {
    for (var tap : taps) {
      if (tap.wants(site)) {
        hidden = tap.at(site, hidden);
      }
    }
    return hidden;
  }

  private Tensor normed(Tensor x, TensorOptional gain) {
    return rms_norm(x, new long[] {architecture.hidden()}, gain, eps);
  }

  /** {@code [batch, time, heads * headDim] -> [batch, heads, time, headDim]}. */
  private Tensor split(Tensor x, int heads) {
    return x.view(x.size(0), x.size(1), heads, architecture.headDim()).transpose(1, 2);
  }

  /** Each key or value head once for every query head that shares it. */
  private Tensor repeated(Tensor x) {
    int times = architecture.heads() / architecture.kvHeads();
    if (times == 1) {
      return x;
    }
    return x.unsqueeze(2)
        .expand(x.size(0), x.size(1), times, x.size(2), x.size(3))
        .reshape(x.size(0), x.size(1) * times, x.size(2), x.size(3));
  }

  private static Tensor attention(Tensor query, Tensor key, Tensor value, Tensor mask) {
    // One new token sees everything before it: no mask is needed, and causal would hide it.
    boolean causal = mask == null && query.size(2) > 1;
    var allowed = mask == null ? new TensorOptional() : new TensorOptional(mask);
    return scaled_dot_product_attention(
        query, key, value, allowed, 0.0, causal, new DoubleOptional(), false);
  }

  /**
   * Cosines and signed sines for the tokens of one pass, {@code [batch or 1, 1, time, headDim]}.
   */
  private record Rotation(Tensor cos, Tensor sin, long half) {
    Tensor apply(Tensor x) {
      return x.mul(cos).addcmul(x.roll(new long[] {half}, -1), sin);
    }
  }

  private Rotation rotation(Tokens tokens, int time) {
    int start = tokens.cache() == null ? 0 : tokens.cache().length();
    ensureRope(start + time);
    long headDim = architecture.headDim();
    Tensor cos;
    Tensor sin;
    if (tokens.positions() == null) {
      cos = ropeTable.select(0, 0).narrow(0, start, time);
      sin = ropeTable.select(0, 1).narrow(0, start, time);
    } else {
      long batch = tokens.positions().size(0);
      var flat = tokens.positions().reshape(-1);
      cos = ropeTable.select(0, 0).index_select(0, flat).view(batch, 1, time, headDim);
      sin = ropeTable.select(0, 1).index_select(0, flat).view(batch, 1, time, headDim);
    }
    return new Rotation(cos, sin, headDim / 2);
  }

  private void ensureRope(int positions) {
    if (ropeTable != null && ropeTable.size(1) >= positions) {
      return;
    }
    int wanted = Math.max(256, Integer.highestOneBit(Math.max(1, positions - 1)) << 1);
    var table = owner.own(architecture.rope().table(wanted, architecture.headDim()));
    if (ropeTable != null) {
      owner.release(ropeTable);
    }
    ropeTable = table;
  }

  @Override
  public void close() {
    projections.values().forEach(Projection::release);
    owner.close();
    weights.close();
  }
}
