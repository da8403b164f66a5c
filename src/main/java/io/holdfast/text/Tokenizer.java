package io.holdfast.text;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import io.holdfast.HoldfastException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.stream.LongStream;

/**
 * A model's tokenizer, read from the {@code tokenizer.json} of its folder and run by Hugging Face's
 * own library. Nothing is downloaded, and nothing is ever truncated or padded here, whatever the
 * file says. Safe to use from several threads.
 */
public final class Tokenizer implements AutoCloseable {
  private static final Map<String, String> AS_IS =
      Map.of("truncation", "false", "padding", "false", "addSpecialTokens", "true");

  static {
    // The library's host reports its use and fetches natives over the network unless told not to.
    System.setProperty("ai.djl.offline", "true");
    System.setProperty("OPT_OUT_TRACKING", "true");
  }

  private final Path folder;
  private final HuggingFaceTokenizer library;
  private final Vocabulary vocabulary;
  private final SpecialTokens special;

  private Tokenizer(
      Path folder, HuggingFaceTokenizer library, Vocabulary vocabulary, SpecialTokens special) {
    this.folder = folder;
    this.library = library;
    this.vocabulary = vocabulary;
    this.special = special;
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
    var file = modelFolder.resolve("tokenizer.json");
    if (!Files.isRegularFile(file)) {
      throw HoldfastException.input(
          "%s: there is no tokenizer.json. Save the model's fast tokenizer beside its weights"
              + " (in transformers: tokenizer.save_pretrained(folder)).",
          file);
    }
    try {
      byte[] bytes = Files.readAllBytes(file);
      var vocabulary = Vocabulary.read(file, bytes);
      var special = SpecialTokens.read(modelFolder);
      return new Tokenizer(modelFolder, library(file, bytes), vocabulary, special);
    } catch (IOException e) {
      throw HoldfastException.input("%s: cannot be read (%s)", file, e.getMessage()).causedBy(e);
    }
  }

  private static HuggingFaceTokenizer library(Path file, byte[] bytes) throws IOException {
    try {
      return HuggingFaceTokenizer.newInstance(new ByteArrayInputStream(bytes), AS_IS, null);
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
    return ids(library.encode(text, addSpecialTokens, false).getIds());
  }

  /** As {@link #encode}, with the characters of each token. */
  Spanned encodeSpanned(String text, boolean addSpecialTokens) {
    var encoding = library.encode(text, addSpecialTokens, false);
    var spans = encoding.getCharTokenSpans();
    var start = new int[spans.length];
    var end = new int[spans.length];
    for (int i = 0; i < spans.length; i++) {
      if (spans[i] != null) {
        start[i] = spans[i].getStart();
        end[i] = spans[i].getEnd();
      }
    }
    return new Spanned(ids(encoding.getIds()), start, end);
  }

  /**
   * Text of token ids.
   *
   * @param skipSpecial whether special tokens leave no trace in the text
   */
  public String decode(int[] ids, boolean skipSpecial) {
    return library.decode(Arrays.stream(ids).asLongStream().toArray(), skipSpecial);
  }

  /** One more than the largest token id, added tokens included. */
  public int vocabularySize() {
    return vocabulary.size();
  }

  /** The id of a token by its exact name in the vocabulary, for example {@code <|im_end|>}. */
  public OptionalInt id(String token) {
    return vocabulary.id(token);
  }

  /** Whether an id is an added token, such as an end of turn. */
  public boolean isAdded(int id) {
    return vocabulary.added().contains(id);
  }

  /** The folder it was read from. */
  public Path folder() {
    return folder;
  }

  /** Begin-of-sequence token, where the model has one. */
  public OptionalInt bosId() {
    return special.id("bos_token", vocabulary);
  }

  /** End-of-sequence token, where the model has one. */
  public OptionalInt eosId() {
    return special.id("eos_token", vocabulary);
  }

  /**
   * The token that fills short rows: the pad token, else the end of sequence, else 0. Padding is
   * masked, so that its value never reaches a result.
   */
  public int padId() {
    return special.id("pad_token", vocabulary).orElseGet(() -> eosId().orElse(0));
  }

  /**
   * The tokens that end an answer: the tokenizer's end of sequence, and those of the folder's
   * {@code generation_config.json}.
   */
  public SortedSet<Integer> endOfText() {
    var ids = new TreeSet<Integer>();
    eosId().ifPresent(ids::add);
    JsonFile.read(folder.resolve("generation_config.json"))
        .map(json -> json.path("eos_token_id"))
        .ifPresent(
            eos -> {
              if (eos.isInt()) {
                ids.add(eos.intValue());
              }
              eos.forEach(id -> ids.add(id.asInt()));
            });
    return ids;
  }

  /** Text of a named special token, such as {@code eos_token}. */
  public Optional<String> named(String name) {
    return Optional.ofNullable(special.text().get(name));
  }

  /** Text of the named special tokens, {@code bos_token} to {@code <s>} and the like. */
  public Map<String, String> specialTokens() {
    return special.text();
  }

  @Override
  public void close() {
    library.close();
  }

  private static int[] ids(long[] ids) {
    return LongStream.of(ids).mapToInt(Math::toIntExact).toArray();
  }
}
