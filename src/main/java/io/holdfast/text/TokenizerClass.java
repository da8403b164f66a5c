package io.holdfast.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * A tokenizer class of transformers 5 that takes vocabulary, merges, post-processor and added
 * tokens from {@code tokenizer.json}, and has everything else of its own. Other classes, and
 * folders that name none, take the file as it is.
 *
 * @param parts {@code normalizer}, {@code pre_tokenizer}, {@code decoder}, options of the {@code
 *     model}, and {@code special} tokens that hold where the folder names no others
 */
record TokenizerClass(ObjectNode parts) {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String AS_IN_FILE = "TokenizersBackend";

  /** What transformers has registered for the model types whose tokenizers it rebuilds. */
  private static final Map<String, String> REGISTERED =
      Map.ofEntries(
          Map.entry("qwen2", "Qwen2Tokenizer"),
          Map.entry("qwen2_moe", "Qwen2Tokenizer"),
          Map.entry("qwen3", "Qwen2Tokenizer"),
          Map.entry("gemma", "GemmaTokenizer"),
          Map.entry("gemma2", "GemmaTokenizer"),
          Map.entry("gemma3", "GemmaTokenizer"),
          Map.entry("gemma3_text", "GemmaTokenizer"),
          Map.entry("mistral", AS_IN_FILE),
          Map.entry("mixtral", AS_IN_FILE),
          Map.entry("ministral", AS_IN_FILE),
          Map.entry("phi3", AS_IN_FILE));

  /** Model types for which it does not believe the folder. */
  private static final Set<String> CERTAIN = Set.of("qwen2", "phi3");

  /**
   * The class of a folder's tokenizer.
   *
   * @return empty where {@code tokenizer.json} holds as it is. So it does where the class would
   *     make nonsense of it: some folders of byte-level models name {@code LlamaTokenizer}.
   */
  static Optional<TokenizerClass> of(Path folder, TokenizerConfig config, TokenizerFile file) {
    var model = JsonFile.read(folder.resolve("config.json"));
    var type = model.map(json -> json.path("model_type").asText()).orElse("");
    var named =
        config
            .json()
            .path("tokenizer_class")
            .asText(model.map(json -> json.path("tokenizer_class").asText()).orElse(""))
            .replaceFirst("Fast$", "");
    var registered = REGISTERED.get(type);
    boolean believed =
        !named.isEmpty()
            && (registered == null || !registered.equals(AS_IN_FILE) && !CERTAIN.contains(type));
    return Optional.ofNullable(known().get(believed ? named : registered))
        .map(parts -> new TokenizerClass(set(parts.deepCopy(), config.json())))
        .filter(found -> file.model().equals("BPE") && found.isByteLevel() == file.byteLevel());
  }

  /** Special tokens by name, where the folder names no others. */
  Map<String, String> special() {
    var special = new LinkedHashMap<String, String>();
    parts.get("special").properties().forEach(e -> special.put(e.getKey(), e.getValue().asText()));
    return special;
  }

  private boolean isByteLevel() {
    return parts.get("decoder").get("type").asText().equals("ByteLevel");
  }

  /** The settings of {@code tokenizer_config.json} that these classes heed. */
  private static ObjectNode set(ObjectNode parts, JsonNode config) {
    var blanks = (ObjectNode) parts.get("pre_tokenizer");
    boolean metaspace = blanks.path("type").asText().equals("Metaspace");
    boolean prefix = config.path("add_prefix_space").asBoolean(metaspace);
    if (metaspace) {
      boolean legacy = config.path("legacy").asBoolean(false);
      blanks.put("prepend_scheme", !prefix ? "never" : legacy ? "always" : "first");
      if (!prefix) {
        ((ArrayNode) parts.at("/decoder/decoders")).remove(3);
      }
    } else {
      blanks.findParents("add_prefix_space").stream()
          .map(ObjectNode.class::cast)
          .forEach(part -> part.put("add_prefix_space", prefix));
    }
    return parts;
  }

  private static Map<String, ObjectNode> known() {
    try (var in = TokenizerClass.class.getResourceAsStream("tokenizer-classes.json")) {
      var known = new LinkedHashMap<String, ObjectNode>();
      JSON.readTree(in).properties().forEach(e -> known.put(e.getKey(), (ObjectNode) e.getValue()));
      return known;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
