package io.holdfast.text;

import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.function.LongFunction;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import java.util.stream.Stream;

/**
 * A model's tokenizer, read from the {@code tokenizer.json} of its folder and run by Hugging Face's
 * own library, with the added and special tokens of the folder's other files and the rules of the
 * tokenizer class it names, as {@code AutoTokenizer} of transformers 5 does. Nothing is downloaded,
 * and nothing is ever truncated or padded here, whatever the file says. Safe to use from several
 * threads until it is closed.
 */
public final class Tokenizer implements AutoCloseable {
  private static final TokenizersLibrary LIBRARY = TokenizersLibrary.LIB;

  static {
    // The library's host reports its use and fetches natives over the network unless told not to.
    System.setProperty("ai.djl.offline", "true");
    System.setProperty("OPT_OUT_TRACKING", "true");
    LibUtils.checkStatus();
  }

  private final Path folder;
  private final TokenizerConfig config;
  private final Vocabulary vocabulary;
  private final int size;
  private long handle;

  private Tokenizer(Path folder, TokenizerConfig config, Vocabulary vocabulary, long handle) {
    this.folder = folder;
    this.config = config;
    this.vocabulary = vocabulary;
    this.size = vocabulary.size();
    this.handle = handle;
  }

  /**
   * Token ids and the characters each token covers.
   *
   * @param ids token ids
   * @param start first character of each token, in code points from the start of the text
   * @param end character after the last of each token; equal to {@code start} where a token covers
   *     no text
   */
  record Spanned(int[] ids, int[] start, int[] end) {}

  /**
   * Loads the tokenizer of a model folder.
   *
   * @throws HoldfastException if there is no tokenizer or it cannot be read
   */
  public static Tokenizer load(Path modelFolder) {
    var path = modelFolder.resolve("tokenizer.json");
    if (!Files.isRegularFile(path)) {
      throw HoldfastException.input(
          "%s: there is no tokenizer.json%s. Save the model's fast tokenizer beside its weights (in"
              + " transformers: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)).",
          path, others(modelFolder));
    }
    try {
      var file = TokenizerFile.read(path, Files.readAllBytes(path));
      var read = TokenizerConfig.read(modelFolder);
      var own = TokenizerClass.of(modelFolder, read, file);
      var defaults = new HashMap<>(own.map(TokenizerClass::special).orElse(Map.of()));
      file.padToken().ifPresent(token -> defaults.put("pad_token", token));
      var config = read.withDefaults(defaults);
      var vocabulary = Vocabulary.of(file, config, own.isPresent());
      boolean asItIs = own.isEmpty() && vocabulary.added().equals(file.added());
      long handle = create(path, asItIs ? file.text() : file.with(vocabulary.added(), own));
      return new Tokenizer(modelFolder, config, vocabulary, handle);
    } catch (IOException e) {
      throw HoldfastException.unreadable(path, e);
    }
  }

  /** What there is instead: a person who sees the name of that file knows what is meant. */
  private static String others(Path folder) {
    var others =
        Stream.of("tokenizer.model", "tekken.json", "vocab.json", "tiktoken.model")
            .filter(name -> Files.exists(folder.resolve(name)))
            .collect(Collectors.joining(", "));
    return others.isEmpty() ? "" : ", only " + others + ", which is not read";
  }

  private static long create(Path file, String json) {
    try {
      long handle = LIBRARY.createTokenizerFromString(json);
      LIBRARY.disableTruncation(handle);
      LIBRARY.disablePadding(handle);
      return handle;
    } catch (RuntimeException e) {
      throw HoldfastException.input(
              "%s: is not a tokenizer that this version can read (%s). Save it again with a current"
                  + " release of transformers or tokenizers.",
              file, e.getMessage())
          .causedBy(e);
    }
  }

  /**
   * Token ids of a text.
   *
   * @param addSpecialTokens whether to add what the tokenizer itself adds (often a first token);
   *     special tokens that are written out in the text are recognised either way
   */
  public int[] encode(String text, boolean addSpecialTokens) {
    return encoded(text, addSpecialTokens, encoding -> ids(LIBRARY.getTokenIds(encoding)));
  }

  /** As {@link #encode}, with the characters of each token. */
  Spanned encodeSpanned(String text, boolean addSpecialTokens) {
    return encoded(
        text,
        addSpecialTokens,
        encoding -> {
          int[] ids = ids(LIBRARY.getTokenIds(encoding));
          var spans = LIBRARY.getTokenCharSpans(encoding);
          var start = new int[ids.length];
          var end = new int[ids.length];
          for (int i = 0; i < ids.length; i++) {
            if (spans[i] != null) {
              start[i] = spans[i].getStart();
              end[i] = spans[i].getEnd();
            }
          }
          return new Spanned(ids, start, end);
        });
  }

  /** Only what is asked for crosses from the library: the rest costs more than the encoding. */
  private <T> T encoded(String text, boolean addSpecialTokens, LongFunction<T> read) {
    long encoding = LIBRARY.encode(open(), text, addSpecialTokens);
    try {
      return read.apply(encoding);
    } finally {
      LIBRARY.deleteEncoding(encoding);
    }
  }

  /**
   * Text of token ids.
   *
   * @param skipSpecial whether special tokens leave no trace in the text
   */
  public String decode(int[] ids, boolean skipSpecial) {
    return LIBRARY.decode(open(), Arrays.stream(ids).asLongStream().toArray(), skipSpecial);
  }

  private long open() {
    if (handle == 0) {
      throw new IllegalStateException(folder + ": its tokenizer is closed");
    }
    return handle;
  }

  /** One more than the largest token id, added tokens included. */
  public int vocabularySize() {
    return size;
  }

  /** The id of a token by its exact name in the vocabulary, for example {@code <|im_end|>}. */
  public OptionalInt id(String token) {
    return vocabulary.id(token);
  }

  /** Whether an id is an added token, such as an end of turn. */
  public boolean isAdded(int id) {
    return vocabulary.added().containsKey(id);
  }

  /** The folder it was read from. */
  public Path folder() {
    return folder;
  }

  /** Begin-of-sequence token, where the model has one. */
  public OptionalInt bosId() {
    return namedId("bos_token");
  }

  /** End-of-sequence token, where the model has one. */
  public OptionalInt eosId() {
    return namedId("eos_token");
  }

  /**
   * The token that fills short rows: the pad token, else the end of sequence, else 0. Padding is
   * masked, so that its value never reaches a result.
   */
  public int padId() {
    return namedId("pad_token").orElseGet(() -> eosId().orElse(0));
  }

  /** The longest text that the model was made for, in tokens, where the folder says so. */
  public OptionalInt maxLength() {
    return config.maxLength();
  }

  /**
   * The tokens that end an answer: the tokenizer's end of sequence, and those of the folder's
   * {@code generation_config.json} or, where that names none, of its {@code config.json}. Empty
   * where nothing names one: then an answer ends by its length alone.
   *
   * @throws HoldfastException if {@code eos_token_id} is neither an id nor a list of ids
   */
  public SortedSet<Integer> endOfText() {
    var ids =
        Stream.of("generation_config.json", "config.json")
            .map(this::eosIds)
            .filter(found -> !found.isEmpty())
            .findFirst()
            .orElseGet(TreeSet::new);
    eosId().ifPresent(ids::add);
    return ids;
  }

  private TreeSet<Integer> eosIds(String name) {
    var file = folder.resolve(name);
    var ids = new TreeSet<Integer>();
    var eos = JsonFile.read(file).map(json -> json.path("eos_token_id"));
    for (var id : eos.isPresent() && eos.get().isArray() ? eos.get() : eos.stream().toList()) {
      if (id.isIntegralNumber()) {
        ids.add(id.intValue());
      } else if (!id.isNull() && !id.isMissingNode()) {
        throw HoldfastException.input(
            "%s: eos_token_id must be a token id or a list of token ids, not %s", file, id);
      }
    }
    return ids;
  }

  private OptionalInt namedId(String name) {
    return named(name).map(vocabulary::id).orElse(OptionalInt.empty());
  }

  /** Text of a named special token, such as {@code eos_token}. */
  public Optional<String> named(String name) {
    return Optional.ofNullable(config.named().get(name)).map(AddedToken::content);
  }

  /** Text of the named special tokens, {@code bos_token} to {@code <s>} and the like. */
  public Map<String, String> specialTokens() {
    return config.named().entrySet().stream()
        .collect(Collectors.toMap(Map.Entry::getKey, token -> token.getValue().content()));
  }

  @Override
  public void close() {
    if (handle != 0) {
      LIBRARY.deleteTokenizer(handle);
      handle = 0;
    }
  }

  private static int[] ids(long[] ids) {
    return LongStream.of(ids).mapToInt(Math::toIntExact).toArray();
  }
}
