package io.holdfast.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * How a LoRA was made (Hu et al. 2021), as PEFT's {@code adapter_config.json} keeps it.
 *
 * <p>What would change the numbers and is not supported here (DoRA, trained biases, ranks per
 * module, ...) is refused by name.
 *
 * @param base the base model's name or path; empty if unknown
 * @param rank r, at least 1
 * @param alpha the update is scaled by {@link #scale()}
 * @param dropout probability that an input value is dropped while training, in [0, 1)
 * @param targets the modules that are adapted
 * @param rslora whether the scale divides by the root of the rank (Kalajdzievski 2023)
 */
public record LoraConfig(
    String base, int rank, double alpha, double dropout, Targets targets, boolean rslora) {

  private static final String ALL_LINEAR = "all-linear";

  /** Keys that say nothing about the numbers, or that are read below. */
  private static final Set<String> UNDERSTOOD =
      Set.of(
          "peft_type",
          "task_type",
          "base_model_name_or_path",
          "r",
          "lora_alpha",
          "lora_dropout",
          "target_modules",
          "use_rslora",
          "bias",
          "init_lora_weights",
          "auto_mapping",
          "revision",
          "inference_mode",
          "peft_version",
          "megatron_core",
          "qalora_group_size");

  /** First values of the adapter that leave the base weights as they are. */
  private static final Set<String> PLAIN_STARTS = Set.of("true", "false", "gaussian", "orthogonal");

  /** Checks the ranges. */
  public LoraConfig {
    if (rank < 1) {
      throw new IllegalArgumentException("rank must be at least 1, not " + rank);
    }
    if (!Double.isFinite(alpha)) {
      throw new IllegalArgumentException("alpha must be finite, not " + alpha);
    }
    if (!(dropout >= 0 && dropout < 1)) {
      throw new IllegalArgumentException("dropout must be in [0, 1), not " + dropout);
    }
  }

  /** The factor of B A: {@code alpha / r}, or {@code alpha / sqrt(r)} when rank-stabilised. */
  public double scale() {
    return alpha / (rslora ? Math.sqrt(rank) : rank);
  }

  /**
   * Reads {@code adapter_config.json}.
   *
   * @throws HoldfastException if it is broken or asks for something that is not supported
   */
  static LoraConfig read(Path file) {
    return new Reader(file, JsonFile.read(file)).read();
  }

  /** Writes {@code adapter_config.json} as PEFT 0.21 does. */
  void write(Path file) {
    ObjectNode json = JsonFile.object();
    json.putNull("alora_invocation_tokens");
    json.putObject("alpha_pattern");
    json.putNull("arrow_config").putNull("auto_mapping");
    if (base.isEmpty()) {
      json.putNull("base_model_name_or_path");
    } else {
      json.put("base_model_name_or_path", base);
    }
    json.put("bias", "none");
    json.putNull("corda_config").put("ensure_weight_tying", false);
    json.putNull("eva_config").putNull("exclude_modules");
    json.put("fan_in_fan_out", false).put("inference_mode", true).put("init_lora_weights", true);
    json.putNull("kasa_config").putNull("layer_replication");
    json.putNull("layers_pattern").putNull("layers_to_transform");
    json.putObject("loftq_config");
    if (alpha == Math.rint(alpha) && Math.abs(alpha) < 1L << 53) {
      json.put("lora_alpha", (long) alpha);
    } else {
      json.put("lora_alpha", alpha);
    }
    json.put("lora_bias", false).put("lora_dropout", dropout).putNull("lora_ga_config");
    json.putNull("megatron_config").put("megatron_core", "megatron.core");
    json.putNull("modules_to_save").putNull("monteclora_config");
    json.put("peft_type", "LORA").put("peft_version", "0.21.0");
    json.put("qalora_group_size", 16).put("r", rank);
    json.putObject("rank_pattern");
    json.putNull("revision");
    switch (targets) {
      case Targets.Named named -> named.names().forEach(json.putArray("target_modules")::add);
      case Targets.AllLinear all -> json.put("target_modules", ALL_LINEAR);
      case Targets.Matching matching -> json.put("target_modules", matching.pattern().pattern());
    }
    json.putNull("target_parameters").put("task_type", "CAUSAL_LM");
    json.putNull("trainable_token_indices").putNull("use_bdlora");
    json.put("use_dora", false).put("use_qalora", false).put("use_rslora", rslora);
    json.putNull("velora_config");
    JsonFile.write(file, json);
  }

  private record Reader(Path file, ObjectNode json) {
    LoraConfig read() {
      JsonNode type = json.path("peft_type");
      if (!type.asText().equals("LORA")) {
        throw refused("peft_type", "only LORA adapters are supported");
      }
      JsonNode task = json.path("task_type");
      if (!absent(task) && !task.asText().equals("CAUSAL_LM")) {
        throw refused("task_type", "only CAUSAL_LM is supported");
      }
      if (json.has("bias") && !json.get("bias").asText().equals("none")) {
        throw refused("bias", "only \"none\" is supported; merge the adapter with peft instead");
      }
      if (json.has("init_lora_weights")
          && !PLAIN_STARTS.contains(json.get("init_lora_weights").asText())) {
        throw refused(
            "init_lora_weights",
            "it changes the base weights; save the adapter with peft's"
                + " path_initial_model_for_weight_conversion");
      }
      // Whatever else is switched on, in this version of PEFT or a later one, changes the model.
      for (var option : json.properties()) {
        if (!UNDERSTOOD.contains(option.getKey()) && !absent(option.getValue())) {
          throw refused(option.getKey(), "not supported; merge the adapter with peft instead");
        }
      }
      int rank = (int) number("r", json.path("r").isInt(), 1, Integer.MAX_VALUE, "1 or more");
      double alpha = number("lora_alpha", true, -1e9, 1e9, "a finite number");
      double dropout =
          json.has("lora_dropout")
              ? number("lora_dropout", true, 0, Math.nextDown(1.0), "at least 0 and below 1")
              : 0;
      return new LoraConfig(
          json.path("base_model_name_or_path").asText(""),
          rank,
          alpha,
          dropout,
          targets(json.path("target_modules")),
          flag("use_rslora"));
    }

    private boolean flag(String key) {
      JsonNode value = json.path(key);
      if (!value.isBoolean() && !absent(value)) {
        throw refused(key, "it must be true or false");
      }
      return value.asBoolean();
    }

    /** Null, false, {} and [] are how PEFT says that an option is not used. */
    private static boolean absent(JsonNode value) {
      return value.isMissingNode()
          || value.isNull()
          || value.isBoolean() && !value.booleanValue()
          || value.isContainerNode() && value.isEmpty();
    }

    private double number(String key, boolean kind, double low, double high, String allowed) {
      JsonNode value = json.path(key);
      if (!kind || !value.isNumber() || !(value.asDouble() >= low && value.asDouble() <= high)) {
        throw refused(key, "it must be " + allowed);
      }
      return value.asDouble();
    }

    private Targets targets(JsonNode value) {
      if (value.isTextual()) {
        if (value.asText().equals(ALL_LINEAR)) {
          return new Targets.AllLinear();
        }
        try {
          return new Targets.Matching(Pattern.compile(value.asText()));
        } catch (PatternSyntaxException e) {
          throw refused("target_modules", "not a regular expression: " + e.getDescription())
              .causedBy(e);
        }
      }
      List<String> names = new ArrayList<>();
      for (JsonNode name : value) {
        if (!name.isTextual()) {
          throw refused("target_modules", "it must be a list of module names");
        }
        names.add(name.asText());
      }
      if (names.isEmpty()) {
        throw refused(
            "target_modules", "it must be module names, \"all-linear\" or a regular expression");
      }
      return new Targets.Named(names);
    }

    private HoldfastException refused(String key, String why) {
      return HoldfastException.input(
          "%s: %s is %s: %s", file, key, json.has(key) ? json.get(key) : "missing", why);
    }
  }
}
