package io.holdfast.checkpoint;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;

/** Writes PEFT's {@code adapter_config.json}. */
final class LoraConfigWriter {
  private LoraConfigWriter() {}

  /** Writes {@code adapter_config.json} as PEFT 0.21 does. */
  static void write(Path file, LoraConfig config) {
    var json = JsonFile.object();
    var scaling = config.scaling();
    var targets = config.targets();
    json.putNull("alora_invocation_tokens");
    var alphas = json.putObject("alpha_pattern");
    scaling.alphas().forEach((pattern, alpha) -> putNumber(alphas, pattern, alpha));
    json.putNull("arrow_config").putNull("auto_mapping");
    json.put("base_model_name_or_path", config.base().isEmpty() ? null : config.base());
    json.put("bias", "none").putNull("corda_config");
    json.put("ensure_weight_tying", config.saved().tied()).putNull("eva_config");
    json.putNull("exclude_modules");
    targets.excluded().ifPresent(names -> put(json, "exclude_modules", names));
    json.put("fan_in_fan_out", false).put("inference_mode", true).put("init_lora_weights", true);
    json.putNull("kasa_config").putNull("layer_replication");
    json.putNull("layers_pattern").putNull("layers_to_transform");
    targets
        .layers()
        .ifPresent(
            layers -> {
              if (!layers.lists().isEmpty()) {
                layers.lists().forEach(json.putArray("layers_pattern")::add);
              }
              layers.indices().forEach(json.putArray("layers_to_transform")::add);
            });
    json.putObject("loftq_config");
    putNumber(json, "lora_alpha", scaling.alpha());
    json.put("lora_bias", false).put("lora_dropout", config.dropout()).putNull("lora_ga_config");
    json.putNull("megatron_config").put("megatron_core", "megatron.core");
    json.putNull("modules_to_save");
    if (!config.saved().names().isEmpty()) {
      config.saved().names().forEach(json.putArray("modules_to_save")::add);
    }
    json.putNull("monteclora_config").put("peft_type", "LORA").put("peft_version", "0.21.0");
    json.put("qalora_group_size", 16).put("r", scaling.rank());
    scaling.ranks().forEach(json.putObject("rank_pattern")::put);
    json.putNull("revision");
    put(json, "target_modules", targets.names());
    json.putNull("target_parameters").put("task_type", "CAUSAL_LM");
    json.putNull("trainable_token_indices").putNull("use_bdlora");
    json.put("use_dora", false).put("use_qalora", false);
    json.put("use_rslora", scaling.rankStabilized()).putNull("velora_config");
    JsonFile.write(file, json);
  }

  private static void put(ObjectNode json, String key, ModuleNames names) {
    switch (names) {
      case ModuleNames.Listed listed -> listed.names().forEach(json.putArray(key)::add);
      case ModuleNames.AllLinear _ -> json.put(key, ModuleNames.AllLinear.WORD);
      case ModuleNames.Matching matching -> json.put(key, matching.expression());
    }
  }

  /** A whole number as one, as Python would write it. */
  private static void putNumber(ObjectNode json, String key, double value) {
    if (value == Math.rint(value) && Math.abs(value) < 1L << 53) {
      json.put(key, (long) value);
    } else {
      json.put(key, value);
    }
  }
}
