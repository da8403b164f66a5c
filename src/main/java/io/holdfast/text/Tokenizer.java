package io.holdfast.text;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeSet;

/**
 * Text to token ids and back, as the model's own {@code tokenizer.json} says, by Hugging Face's
 * tokenizers library. Never truncates or pads.
 */
public final class Tokenizer implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  static {
    // Nothing is looked up or downloaded: everything is in the jar and in the model's folder.
    System.setProperty("ai.djl.offline", "true");
    System.setProperty("OPT_OUT_TRACKING", "true");
  }

  private final Path folder;
  private final HuggingFaceTokenizer library;
  private final Map<String, Integer> added;
  private final JsonNode config;

  private Tokenizer(
      Path folder, HuggingFaceTokenizer library, Map<String, Integer> added, JsonNode config) {
    this.folder = folder;
    this.library = library;
    this.added = added;
    this.config = config;
  }

  /**
   * The tokenizer of a model folder.
   *
   * @throws HoldfastException if there is none, or it is broken
   */
  public static Tokenizer load(Path folder) {
    var file = folder.resolve("tokenizer.json");
    if (!Files.isRegularFile(file)) {
      throw HoldfastException.input(
          "%s: there is no tokenizer.json. Save the tokenizer beside the model"
              + " (tokenizer.save_pretrained); other formats are not read.",
          folder);
    }
    var definition = read(file);
    var configFile = folder.resolve("tokenizer_config.json");
    var config = Files.isRegularFile(configFile) ? read(configFile) : JSON.createObjectNode();
    var added = new LinkedHashMap<String, Integer>();
    definition
        .path("added_tokens")
        .forEach(token -> added.put(token.path("content").asText(), token.path("id").asInt()));
    try {
      var library =
          HuggingFaceTokenizer.newInstance(
              file, Map.of("truncation", "false", "padding", "false", "addSpecialTokens", "false"));
      return new Tokenizer(folder, library, added, config);
    } catch (IOException | RuntimeException e) {
      throw HoldfastException.input(
              "%s: not a tokenizer that can be read: %s", file, firstLine(e.getMessage()))
          .causedBy(e);
    }
  }

  private static JsonNode read(Path file) {
    try {
      return JSON.readTree(file.toFile());
    } catch (IOException e) {
      throw HoldfastException.input("%s: not valid JSON: %s", file, firstLine(e.getMessage()))
          .causedBy(e);
    }
  }

  private static String firstLine(String text) {
    return text == null ? "unknown fault" : text.lines().findFirst().orElse("");
  }

  /** The folder it came from. */
  public Path folder() {
    return folder;
  }

  /** The content of {@code tokenizer_config.json}; empty where there is none. */
  JsonNode config() {
    return config;
  }

  /**
   * Token ids.
   *
   * @param special whether to add what the tokenizer itself adds, such as a BOS token; special
   *     tokens written in the text are recognised either way
   */
  public int[] encode(String text, boolean special) {
    long[] ids = library.encode(text, special, false).getIds();
    return Arrays.stream(ids).mapToInt(Math::toIntExact).toArray();
  }

  /** Text of ids. */
  public String decode(int[] ids, boolean skipSpecial) {
    return library.decode(Arrays.stream(ids).asLongStream().toArray(), skipSpecial);
  }

  /** The id of an added token, such as {@code <|im_end|>}. */
  public OptionalInt id(String token) {
    var id = added.get(token);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  /** Whether an id is an added token, such as an end of turn. */
  public boolean isAdded(int id) {
    return added.containsValue(id);
  }

  /** The text of a named token: {@code eos_token}, {@code bos_token}, {@code pad_token}. */
  public Optional<String> named(String name) {
    var value = config.path(name);
    var text = value.isObject() ? value.path("content") : value;
    return text.isTextual() ? Optional.of(text.asText()) : Optional.empty();
  }

  /** The ids that end an answer: the tokenizer's and the generation settings'. */
  public TreeSet<Integer> endOfText() {
    var ids = new TreeSet<Integer>();
    named("eos_token").ifPresent(token -> id(token).ifPresent(ids::add));
    var file = folder.resolve("generation_config.json");
    if (Files.isRegularFile(file)) {
      var eos = read(file).path("eos_token_id");
      if (eos.isInt()) {
        ids.add(eos.asInt());
      }
      eos.forEach(id -> ids.add(id.asInt()));
    }
    return ids;
  }

  @Override
  public void close() {
    library.close();
  }
}
