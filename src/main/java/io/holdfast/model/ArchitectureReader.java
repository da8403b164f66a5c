package io.holdfast.model;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.HoldfastException;
import io.holdfast.model.Architecture.Activation;
import io.holdfast.model.Architecture.Attention;
import io.holdfast.model.Architecture.Layer;
import io.holdfast.model.Architecture.Mlp;
import io.holdfast.model.Architecture.Norms;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.IntPredicate;

/**
 * Reads {@code config.json} with each family's conventions, as {@code transformers} has them.
 *
 * <p>A key counts as known when it was read, or when it changes nothing in a forward pass; any
 * other key is refused, so that no setting is ever ignored.
 */
final class ArchitectureReader {
  /** Settings without a part in the mathematics of a decoder's forward pass. */
  private static final Set<String> HARMLESS =
      Set.of(
          "architectures",
          "model_type",
          "torch_dtype",
          "dtype",
          "transformers_version",
          "use_cache",
          "cache_implementation",
          "bos_token_id",
          "eos_token_id",
          "pad_token_id",
          "initializer_range",
          "pretraining_tp",
          "auto_map",
          "_name_or_path",
          "_attn_implementation_autoset",
          "unsloth_version",
          "unsloth_fixed",
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

  private final Family family;
  private final ConfigReader config;
  private final Path file;

  private ArchitectureReader(Family family, ConfigReader config) {
    this.family = family;
    this.config = config;
    this.file = config.file();
  }

  static Architecture read(JsonNode json, Path file) {
    var names = json.path("architectures");
    var name = names.isArray() && !names.isEmpty() ? names.get(0).asText() : null;
    var family =
        Family.named(name)
            .orElseThrow(
                () ->
                    HoldfastException.input(
                        "%s: architectures names %s; Holdfast computes %s. Use a model of such a"
                            + " family.",
                        file, name == null ? "nothing" : name, Family.names()));
    var config = new ConfigReader(json, file);
    try {
      var architecture = new ArchitectureReader(family, config).architecture();
      refuseUnread(json, config, file);
      return architecture;
    } catch (IllegalArgumentException e) {
      throw HoldfastException.input("%s: %s", file, e.getMessage());
    }
  }

  private static void refuseUnread(JsonNode json, ConfigReader config, Path file) {
    var unknown = new TreeSet<String>();
    json.fieldNames().forEachRemaining(unknown::add);
    unknown.removeAll(HARMLESS);
    unknown.removeAll(config.read());
    unknown.removeIf(key -> json.get(key).isNull());
    if (!unknown.isEmpty()) {
      throw HoldfastException.input(
          "%s: the decoder does not know %s and will not ignore it. Remove the key if it has no"
              + " effect on this model's forward pass.",
          file, String.join(", ", unknown));
    }
  }

  private Architecture architecture() {
    for (var key : List.of("attention_dropout", "resid_pdrop", "embd_pdrop")) {
      config.neutral(key, 0, "Holdfast trains without dropout in the model; set it to 0");
    }
    config.neutral("use_bidirectional_attention", false, "the decoder is causal");
    int hidden = config.size("hidden_size");
    int heads = config.size("num_attention_heads");
    int kvHeads = config.size("num_key_value_heads", heads);
    int headDim = config.size("head_dim", headDimIfUnsaid(hidden, heads));
    int positions = config.size("max_position_embeddings", 2048);
    return new Architecture(
        config.size("vocab_size"),
        hidden,
        config.size("intermediate_size"),
        heads,
        kvHeads,
        headDim,
        layers(headDim, positions),
        attention(headDim),
        mlp(),
        norms(),
        family.isGemma() ? Math.sqrt(hidden) : 1,
        logitCap(),
        config.flag("tie_word_embeddings", family.isGemma()),
        positions);
  }

  private double logitCap() {
    return switch (family) {
      case GEMMA2 -> config.numberOrNull("final_logit_softcapping", 30);
      case GEMMA3 -> config.numberOrNull("final_logit_softcapping", 0);
      default -> 0;
    };
  }

  private int headDimIfUnsaid(int hidden, int heads) {
    return family.isGemma() ? 256 : family == Family.QWEN3 ? 128 : hidden / Math.max(1, heads);
  }

  private Attention attention(int headDim) {
    double scalar =
        family == Family.GEMMA2 || family == Family.GEMMA3
            ? config.number("query_pre_attn_scalar", 256)
            : headDim;
    if (family == Family.GEMMA3) {
      config.neutral("attn_logit_softcapping", 0, "this family computes no such cap");
    }
    double cap = family == Family.GEMMA2 ? config.numberOrNull("attn_logit_softcapping", 50) : 0;
    boolean all =
        switch (family) {
          case LLAMA, QWEN3, GEMMA, GEMMA2, GEMMA3 -> config.flag("attention_bias", false);
          case MISTRAL, QWEN2, PHI3 -> {
            config.neutral(
                "attention_bias", family == Family.QWEN2, "this family knows no other value");
            yield false;
          }
        };
    return new Attention(
        1 / Math.sqrt(scalar), cap, all || family == Family.QWEN2, all, family == Family.PHI3);
  }

  private Mlp mlp() {
    boolean bias = family == Family.LLAMA && config.flag("mlp_bias", false);
    if (family != Family.LLAMA) {
      config.neutral("mlp_bias", false, "this family knows no other value");
    }
    if (family == Family.PHI3) {
      config.neutral("lm_head_bias", false, "this family knows no other value");
      config.neutral("full_attn_mod", 1, "this family knows no other value");
      config.neutral("interpolate_factor", 1, "this family knows no other value");
    }
    return new Mlp(activation(), bias, family == Family.PHI3);
  }

  private Activation activation() {
    var unsaid = family.isGemma() ? "gelu_pytorch_tanh" : "silu";
    var name = config.text("hidden_act", unsaid);
    if (family.isGemma()) {
      // Gemma's first files say gelu and mean the tanh form; later ones have a key of their own.
      name = config.text("hidden_activation", name);
      name = name.equals("gelu") ? unsaid : name;
    }
    return switch (name) {
      case "silu", "swish" -> Activation.SILU;
      case "gelu" -> Activation.GELU;
      case "gelu_pytorch_tanh", "gelu_new" -> Activation.GELU_TANH;
      default ->
          throw HoldfastException.input(
              "%s: the activation %s is not computed; known are silu, gelu, gelu_pytorch_tanh",
              file, name);
    };
  }

  private Norms norms() {
    return new Norms(
        config.number("rms_norm_eps", family == Family.PHI3 ? 1e-5 : 1e-6),
        family.isGemma(),
        family == Family.QWEN3 || family == Family.GEMMA3,
        family == Family.GEMMA2 || family == Family.GEMMA3);
  }

  private List<Layer> layers(int headDim, int positions) {
    int count = config.size("num_hidden_layers");
    var ropes = new RopeReader(family, config, headDim, positions);
    var global = ropes.global();
    var local = family == Family.GEMMA3 ? ropes.local() : global;
    int window = window();
    var slides = slides(count, window);
    var layers = new ArrayList<Layer>();
    for (int layer = 0; layer < count; layer++) {
      boolean sliding = slides.test(layer);
      layers.add(new Layer(sliding ? window : 0, sliding ? local : global));
    }
    return layers;
  }

  /** The width of sliding layers, 0 where there are none. */
  private int window() {
    return switch (family) {
      case LLAMA, GEMMA -> 0;
      case MISTRAL, GEMMA2, GEMMA3 -> config.sizeOrNull("sliding_window", 4096);
      case PHI3 -> config.sizeOrNull("sliding_window", 0);
      case QWEN2, QWEN3 -> {
        int window = config.sizeOrNull("sliding_window", 4096);
        yield config.flag("use_sliding_window", false) ? window : 0;
      }
    };
  }

  /** Which blocks slide, where the file does not list them. */
  private IntPredicate slides(int count, int window) {
    return switch (family) {
      case LLAMA, GEMMA -> layer -> false;
      case MISTRAL, PHI3 -> layer -> window > 0;
      case QWEN2, QWEN3 -> {
        int from = config.size0("max_window_layers", 28);
        yield listed(count, window, layer -> window > 0 && layer >= from);
      }
      case GEMMA2 -> listed(count, window, layer -> window > 0 && layer % 2 == 0);
      case GEMMA3 -> {
        int unsaid = config.size("_sliding_window_pattern", 6);
        int pattern = config.size("sliding_window_pattern", unsaid);
        yield listed(count, window, layer -> window > 0 && (layer + 1) % pattern != 0);
      }
    };
  }

  private IntPredicate listed(int count, int window, IntPredicate otherwise) {
    var types = config.texts("layer_types");
    if (types.isEmpty()) {
      return otherwise;
    }
    if (types.size() != count) {
      throw HoldfastException.input(
          "%s: layer_types has %d entries for %d layers", file, types.size(), count);
    }
    for (var type : types) {
      boolean known = type.equals("full_attention") || type.equals("sliding_attention");
      if (!known || type.equals("sliding_attention") && window == 0) {
        throw HoldfastException.input(
            "%s: layer_types names %s%s",
            file,
            type,
            known
                ? ", but there is no sliding_window"
                : "; known are full_attention and sliding_attention");
      }
    }
    return layer -> types.get(layer).equals("sliding_attention");
  }
}
