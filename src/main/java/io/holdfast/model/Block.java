package io.holdfast.model;

import org.bytedeco.pytorch.Tensor;

/**
 * One block: what attention and then the MLP add to the residual stream.
 *
 * @param rope its rotary embedding
 * @param attentionEnd norm of what attention adds, or null
 * @param mlpEnd norm of what the MLP adds, or null
 */
record Block(
    int layer,
    Rope rope,
    Norm attentionStart,
    Attention attention,
    Norm attentionEnd,
    Norm mlpStart,
    GatedMlp mlp,
    Norm mlpEnd) {
  static Block of(Architecture architecture, int layer, Modules modules) {
    var prefix = "model.layers." + layer + ".";
    boolean sandwich = architecture.norms().sandwich();
    // The same name stands for another place where sub-layers are normed on both sides.
    var second = modules.norm(prefix + "post_attention_layernorm.weight");
    return new Block(
        layer,
        architecture.layers().get(layer).rope(),
        modules.norm(prefix + "input_layernorm.weight"),
        attention(architecture, layer, prefix + "self_attn.", modules),
        sandwich ? second : null,
        sandwich ? modules.norm(prefix + "pre_feedforward_layernorm.weight") : second,
        mlp(architecture.mlp(), prefix + "mlp.", modules),
        sandwich ? modules.norm(prefix + "post_feedforward_layernorm.weight") : null);
  }

  private static Attention attention(
      Architecture architecture, int layer, String prefix, Modules modules) {
    boolean queryKey = architecture.norms().queryKey();
    boolean inputBias = architecture.attention().inputBias();
    var inputs =
        architecture.attention().fused()
            ? modules.projections(prefix, inputBias, "qkv_proj")
            : modules.projections(prefix, inputBias, "q_proj", "k_proj", "v_proj");
    var output = modules.projection(prefix + "o_proj", architecture.attention().outputBias());
    return new Attention(
        architecture,
        layer,
        inputs,
        output,
        queryKey ? modules.norm(prefix + "q_norm.weight") : null,
        queryKey ? modules.norm(prefix + "k_norm.weight") : null);
  }

  private static GatedMlp mlp(Architecture.Mlp mlp, String prefix, Modules modules) {
    var gates =
        mlp.fused()
            ? modules.projections(prefix, mlp.bias(), "gate_up_proj")
            : modules.projections(prefix, mlp.bias(), "gate_proj", "up_proj");
    return new GatedMlp(mlp, gates, modules.projection(prefix + "down_proj", mlp.bias()));
  }

  /** From this block's slot of the residual stream to the next. */
  Tensor apply(Tensor hidden, Decoder.Pass pass) {
    var pieces = pass.pieces();
    var added =
        attention.apply(
            attentionStart.apply(hidden, pieces),
            pass.cache(),
            pass.sight(),
            pass.rotations().get(rope),
            pass.mode(),
            pieces);
    added = attentionEnd == null ? added : attentionEnd.apply(added, pieces);
    hidden = hidden.add(pass.shown(new Site(Site.Kind.ATTENTION_OUTPUT, layer), added));

    added = mlp.apply(mlpStart.apply(hidden, pieces), pass.mode(), pieces);
    added = mlpEnd == null ? added : mlpEnd.apply(added, pieces);
    return hidden.add(pass.shown(new Site(Site.Kind.MLP_OUTPUT, layer), added));
  }
}
