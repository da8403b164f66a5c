package io.holdfast.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.function.Predicate;
import java.util.function.Supplier;

/**
 * Reads PEFT's {@code adapter_config.json}.
 *
 * <p>What would change the numbers and is not computed here (DoRA, trained biases, ...) is refused
 * by name.
 */
final class LoraConfigReader {
  /** Keys that say nothing about the numbers, or that are read below. */
  private static final Set<String> UNDERSTOOD =
      Set.of(
          "peft_type",
          "task_type",
          "base_model_name_or_path",
          "r",
          "lora_alpha",
          "lora_dropout",
          "use_rslora",
          "rank_pattern",
          "alpha_pattern",
          "target_modules",
          "exclude_modules",
          "layers_to_transform",
          "layers_pattern",
          "modules_to_save",
          "ensure_weight_tying",
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

  private final Path file;
  private final ObjectNode json;

  private LoraConfigReader(Path file, ObjectNode json) {
    this.file = file;
    this.json = json;
  }

  /**
   * Reads {@code adapter_config.json}.
   *
   * @throws HoldfastException if it is broken or asks for something that is not supported
   */
  static LoraConfig read(Path file) {
    return new LoraConfigReader(file, JsonFile.read(file)).read();
  }

  private LoraConfig read() {
    if (!json.path("peft_type").asText().equals("LORA")) {
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
    return new LoraConfig(
        json.path("base_model_name_or_path").asText(""),
        scaling(),
        json.has("lora_dropout") ? dropout() : 0,
        targets(),
        saved());
  }

  private Scaling scaling() {
    int rank = rank("r", json.path("r"));
    double alpha = alpha("lora_alpha", json.path("lora_alpha"));
    var ranks = new LinkedHashMap<String, Integer>();
    object("rank_pattern").forEach((pattern, r) -> ranks.put(pattern, rank("rank_pattern", r)));
    var alphas = new LinkedHashMap<String, Double>();
    object("alpha_pattern").forEach((pattern, a) -> alphas.put(pattern, alpha("alpha_pattern", a)));
    boolean rankStabilized = flag("use_rslora");
    // The numbers are checked: what can be wrong is a pattern.
    checked("alpha_pattern", () -> new Scaling(rank, alpha, false, new LinkedHashMap<>(), alphas));
    return checked("rank_pattern", () -> new Scaling(rank, alpha, rankStabilized, ranks, alphas));
  }

  private Targets targets() {
    var names = modules("target_modules");
    if (names.isEmpty()) {
      throw refused(
          "target_modules", "it must be module names, \"all-linear\" or a regular expression");
    }
    var excluded = modules("exclude_modules");
    if (excluded.filter(ModuleNames.AllLinear.class::isInstance).isPresent()) {
      throw refused("exclude_modules", "nothing would be left");
    }
    return checked("layers_to_transform", () -> new Targets(names.get(), excluded, layers()));
  }

  private Optional<Layers> layers() {
    var indices =
        items("layers_to_transform", JsonNode::isInt, "a layer or a list of layers").stream()
            .map(JsonNode::asInt)
            .toList();
    var lists =
        items("layers_pattern", JsonNode::isTextual, "a name or a list of names").stream()
            .map(JsonNode::asText)
            .toList();
    if (indices.isEmpty()) {
      if (!lists.isEmpty()) {
        throw refused("layers_pattern", "it needs layers_to_transform beside it");
      }
      return Optional.empty();
    }
    return Optional.of(checked("layers_pattern", () -> new Layers(indices, lists)));
  }

  private SavedModules saved() {
    var names =
        items("modules_to_save", JsonNode::isTextual, "a list of module names").stream()
            .map(JsonNode::asText)
            .toList();
    boolean tied = flag("ensure_weight_tying");
    return checked("modules_to_save", () -> new SavedModules(names, tied));
  }

  /** A list, {@code "all-linear"} or a regular expression; empty where the key is not used. */
  private Optional<ModuleNames> modules(String key) {
    JsonNode value = json.path(key);
    if (absent(value)) {
      return Optional.empty();
    }
    if (value.isTextual()) {
      return Optional.of(
          value.asText().equalsIgnoreCase(ModuleNames.AllLinear.WORD)
              ? new ModuleNames.AllLinear()
              : checked(key, () -> new ModuleNames.Matching(value.asText())));
    }
    var names =
        items(key, JsonNode::isTextual, "a list of module names").stream()
            .map(JsonNode::asText)
            .toList();
    return Optional.of(new ModuleNames.Listed(names));
  }

  private List<JsonNode> items(String key, Predicate<JsonNode> kind, String allowed) {
    JsonNode value = json.path(key);
    if (absent(value)) {
      return List.of();
    }
    List<JsonNode> items = new ArrayList<>();
    if (value.isArray()) {
      value.forEach(items::add);
    } else {
      items.add(value);
    }
    if (!items.stream().allMatch(kind)) {
      throw refused(key, "it must be " + allowed);
    }
    return items;
  }

  private SequencedMap<String, JsonNode> object(String key) {
    JsonNode value = json.path(key);
    var entries = new LinkedHashMap<String, JsonNode>();
    if (!absent(value)) {
      if (!value.isObject()) {
        throw refused(key, "it must map patterns of module names to numbers");
      }
      value.properties().forEach(entry -> entries.put(entry.getKey(), entry.getValue()));
    }
    return entries;
  }

  private boolean flag(String key) {
    JsonNode value = json.path(key);
    if (!value.isBoolean() && !absent(value)) {
      throw refused(key, "it must be true or false");
    }
    return value.asBoolean();
  }

  private int rank(String key, JsonNode value) {
    if (!value.isInt() || value.asInt() < 1) {
      throw refused(key, "it must be 1 or more");
    }
    return value.asInt();
  }

  private double alpha(String key, JsonNode value) {
    if (!value.isNumber() || !(Math.abs(value.asDouble()) <= 1e9)) {
      throw refused(key, "it must be a finite number");
    }
    return value.asDouble();
  }

  private double dropout() {
    JsonNode value = json.path("lora_dropout");
    if (!value.isNumber() || !(value.asDouble() >= 0 && value.asDouble() < 1)) {
      throw refused("lora_dropout", "it must be at least 0 and below 1");
    }
    return value.asDouble();
  }

  /** Null, false, {}, [] and "" are how PEFT says that an option is not used. */
  private static boolean absent(JsonNode value) {
    return value.isMissingNode()
        || value.isNull()
        || value.isBoolean() && !value.booleanValue()
        || value.isTextual() && value.asText().isEmpty()
        || value.isContainerNode() && value.isEmpty();
  }

  private <T> T checked(String key, Supplier<T> made) {
    try {
      return made.get();
    } catch (IllegalArgumentException e) {
      throw refused(key, e.getMessage()).causedBy(e);
    }
  }

  private HoldfastException refused(String key, String why) {
    return HoldfastException.input(
        "%s: %s is %s: %s", file, key, json.has(key) ? json.get(key) : "missing", why);
  }
}
