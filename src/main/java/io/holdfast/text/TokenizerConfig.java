package io.holdfast.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;

/**
 * What the smaller files of a model folder say of its tokenizer: {@code tokenizer_config.json}, and
 * the older {@code special_tokens_map.json} and {@code added_tokens.json}, which count only where
 * the first has no {@code added_tokens_decoder}. {@code add_bos_token} and {@code add_eos_token}
 * mean nothing beside a {@code tokenizer.json}, whose post-processor says what is added; all this
 * as in transformers 5.
 *
 * @param json {@code tokenizer_config.json}, empty where there is none
 * @param named special tokens that have a name: {@code bos_token} and the like, the usual first
 * @param extra special tokens that have none
 * @param listed added tokens by the id they are listed under
 */
record TokenizerConfig(
    ObjectNode json,
    Map<String, AddedToken> named,
    List<AddedToken> extra,
    Map<Integer, AddedToken> listed) {
  /** The names that every tokenizer has, in the order in which new tokens get their ids. */
  private static final List<String> STANDARD =
      List.of(
          "bos_token",
          "eos_token",
          "unk_token",
          "sep_token",
          "pad_token",
          "cls_token",
          "mask_token");

  /** Longer limits are ways to say that there is none. */
  private static final double NO_LIMIT = 1e9;

  static TokenizerConfig read(Path folder) {
    var file = folder.resolve("tokenizer_config.json");
    var json = JsonFile.read(file).orElseGet(JsonNodeFactory.instance::objectNode);
    if (json.path("split_special_tokens").asBoolean(false)) {
      throw HoldfastException.input(
          "%s: split_special_tokens is true, which is not supported: special tokens that are"
              + " written out in a text are always taken as such. Remove the field.",
          file);
    }
    var listed = new TreeMap<Integer, AddedToken>();
    if (json.has("added_tokens_decoder")) {
      json.get("added_tokens_decoder")
          .properties()
          .forEach(e -> listed.put(id(e.getKey(), file), AddedToken.of(e.getValue())));
    } else {
      JsonFile.read(folder.resolve("special_tokens_map.json"))
          .ifPresent(
              map -> {
                map.findParents("content")
                    .forEach(token -> ((ObjectNode) token).put("special", true));
                json.setAll(map);
              });
    }
    var named = new LinkedHashMap<String, AddedToken>();
    STANDARD.forEach(name -> token(name, json.path(name), named));
    json.properties().forEach(e -> token(e.getKey(), e.getValue(), named));
    var extra = extra(json, named);
    if (!json.has("added_tokens_decoder")) {
      JsonFile.read(folder.resolve("added_tokens.json"))
          .ifPresent(
              map ->
                  map.properties()
                      .forEach(
                          e -> listed.put(e.getValue().asInt(), older(e.getKey(), named, extra))));
    }
    return new TokenizerConfig(json, named, extra, listed);
  }

  /** The longest text that the model was made for, in tokens, where the folder says so. */
  OptionalInt maxLength() {
    double length = json.path("model_max_length").asDouble(Double.MAX_VALUE);
    return length > 0 && length < NO_LIMIT ? OptionalInt.of((int) length) : OptionalInt.empty();
  }

  /** The same with tokens that a tokenizer class names where its folder does not. */
  TokenizerConfig withDefaults(Map<String, String> defaults) {
    var filled = new LinkedHashMap<String, AddedToken>();
    for (var name : STANDARD) {
      if (named.containsKey(name)) {
        filled.put(name, named.get(name));
      } else if (defaults.containsKey(name) && !json.has(name)) {
        filled.put(name, AddedToken.special(defaults.get(name)));
      }
    }
    named.forEach(filled::putIfAbsent);
    return new TokenizerConfig(json, filled, extra, listed);
  }

  private static void token(String name, JsonNode value, Map<String, AddedToken> named) {
    if (name.endsWith("_token")) {
      parsed(value).ifPresent(token -> named.put(name, token));
    }
  }

  /** Either the text itself or an object that describes an added token. */
  private static Optional<AddedToken> parsed(JsonNode value) {
    if (value.isTextual()) {
      return Optional.of(AddedToken.special(value.textValue()));
    }
    return value.path("content").isTextual()
        ? Optional.of(AddedToken.of(value).asSpecial())
        : Optional.empty();
  }

  /** The older name of the list counts where the newer is not there; with names it is a map. */
  private static List<AddedToken> extra(JsonNode json, Map<String, AddedToken> named) {
    var newer = json.path("extra_special_tokens");
    var list = newer.isEmpty() ? json.path("additional_special_tokens") : newer;
    if (list.isObject()) {
      list.properties()
          .forEach(e -> parsed(e.getValue()).ifPresent(token -> named.put(e.getKey(), token)));
      return List.of();
    }
    var extra = new ArrayList<AddedToken>();
    list.forEach(value -> parsed(value).ifPresent(extra::add));
    return extra;
  }

  /** {@code added_tokens.json} knows text and id only. */
  private static AddedToken older(
      String content, Map<String, AddedToken> named, List<AddedToken> extra) {
    boolean special =
        named.values().stream().anyMatch(token -> token.content().equals(content))
            || extra.stream().anyMatch(token -> token.content().equals(content));
    return new AddedToken(content, false, false, false, !special, special);
  }

  private static int id(String text, Path file) {
    try {
      return Integer.parseInt(text);
    } catch (NumberFormatException e) {
      throw HoldfastException.input("%s: added_tokens_decoder: '%s' is not a token id", file, text)
          .causedBy(e);
    }
  }
}
