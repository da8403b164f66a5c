package io.holdfast.model;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.HoldfastException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * The shape of a decoder, read from {@code config.json}.
 *
 * @param vocabulary rows of the embedding
 * @param hidden width d of the residual stream
 * @param layers number of blocks
 * @param heads query heads
 * @param kvHeads key and value heads; {@code heads} is a multiple of it
 * @param headDim width of one head
 * @param intermediate width of the gated MLP
 * @param normEps added to the mean square in RMSNorm
 * @param rope rotary embedding
 * @param attentionBias whether q, k, v and o projections have a bias
 * @param mlpBias whether gate, up and down projections have a bias
 * @param tied whether the head is the embedding
 * @param maxPositions longest sequence the model was made for
 */
public record Architecture(
    int vocabulary,
    int hidden,
    int layers,
    int heads,
    int kvHeads,
    int headDim,
    int intermediate,
    double normEps,
    Rope rope,
    boolean attentionBias,
    boolean mlpBias,
    boolean tied,
    int maxPositions) {

  /** The families this decoder computes, by the name in {@code architectures}. */
  public static final List<String> KNOWN = List.of("LlamaForCausalLM");

  /** Settings that change nothing in the mathematics of a decoder forward pass. */
  private static final Set<String> HARMLESS =
      Set.of(
          "architectures",
          "model_type",
          "torch_dtype",
          "dtype",
          "transformers_version",
          "use_cache",
          "bos_token_id",
          "eos_token_id",
          "pad_token_id",
          "initializer_range",
          "attention_dropout",
          "pretraining_tp",
          "vocab_size",
          "hidden_size",
          "num_hidden_layers",
          "num_attention_heads",
          "num_key_value_heads",
          "head_dim",
          "intermediate_size",
          "rms_norm_eps",
          "rope_theta",
          "rope_scaling",
          "rope_parameters",
          "attention_bias",
          "mlp_bias",
          "tie_word_embeddings",
          "max_position_embeddings",
          "hidden_act",
          "_name_or_path",
          "unsloth_version",
          "return_dict",
          "output_hidden_states",
          "output_attentions",
          "is_encoder_decoder",
          "chunk_size_feed_forward",
          "id2label",
          "label2id",
          "problem_type",
          "use_bfloat16",
          "is_decoder",
          "cross_attention_hidden_size",
          "add_cross_attention",
          "tie_encoder_decoder",
          "finetuning_task",
          "task_specific_params",
          "prefix");

  /** Checks what the decoder relies on. */
  public Architecture {
    if (heads < 1 || kvHeads < 1 || heads % kvHeads != 0) {
      throw new IllegalArgumentException(
          "num_attention_heads %d is not a multiple of num_key_value_heads %d"
              .formatted(heads, kvHeads));
    }
    if (headDim < 2 || headDim % 2 != 0) {
      throw new IllegalArgumentException("head_dim %d is not even".formatted(headDim));
    }
    if (vocabulary < 1 || hidden < 1 || layers < 1 || intermediate < 1) {
      throw new IllegalArgumentException("a size in config.json is not positive");
    }
  }

  /**
   * Reads a configuration.
   *
   * @throws HoldfastException for an unknown family or a setting the decoder does not compute; a
   *     setting is never ignored
   */
  public static Architecture of(JsonNode config, Path folder) {
    var file = folder.resolve("config.json");
    var names = config.path("architectures");
    var name = names.isArray() && !names.isEmpty() ? names.get(0).asText() : null;
    if (name == null || !KNOWN.contains(name)) {
      throw HoldfastException.input(
          "%s: architectures names %s; Holdfast computes %s. Use a model of such a family.",
          file, name == null ? "nothing" : name, String.join(", ", KNOWN));
    }
    var unknown = new TreeSet<String>();
    config.fieldNames().forEachRemaining(unknown::add);
    unknown.removeAll(HARMLESS);
    unknown.removeIf(key -> config.get(key).isNull());
    if (!unknown.isEmpty()) {
      throw HoldfastException.input(
          "%s: the decoder does not know %s and will not ignore it. Remove the key if it has no"
              + " effect on this model's forward pass.",
          file, String.join(", ", unknown));
    }
    var reader = new ConfigReader(config, file);
    if (!reader.text("hidden_act", "silu").equals("silu")) {
      throw HoldfastException.input(
          "%s: hidden_act %s is not computed; this family uses silu",
          file, config.get("hidden_act"));
    }
    int heads = reader.size("num_attention_heads");
    int hidden = reader.size("hidden_size");
    try {
      return new Architecture(
          reader.size("vocab_size"),
          hidden,
          reader.size("num_hidden_layers"),
          heads,
          reader.size("num_key_value_heads", heads),
          reader.size("head_dim", hidden / Math.max(1, heads)),
          reader.size("intermediate_size"),
          reader.number("rms_norm_eps", 1e-6),
          Rope.of(config, file),
          reader.flag("attention_bias", false),
          reader.flag("mlp_bias", false),
          reader.flag("tie_word_embeddings", false),
          reader.size("max_position_embeddings", 2048));
    } catch (IllegalArgumentException e) {
      throw HoldfastException.input("%s: %s", file, e.getMessage());
    }
  }

  /** Number of trainable values. */
  public long parameters() {
    long attention = (long) hidden * headDim * (2L * heads + 2L * kvHeads);
    long mlp = 3L * hidden * intermediate;
    long biases =
        (attentionBias ? (long) headDim * (heads + 2L * kvHeads) + hidden : 0)
            + (mlpBias ? 2L * intermediate + hidden : 0);
    long embedding = (long) vocabulary * hidden * (tied ? 1 : 2);
    return layers * (attention + mlp + biases + 2L * hidden) + embedding + hidden;
  }
}
