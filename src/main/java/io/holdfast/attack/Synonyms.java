package io.holdfast.attack;

import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;

/**
 * Words that may stand for one another, from a file: a line names those of one meaning, parted by
 * commas; {@code #} begins a comment.
 */
public final class Synonyms {
  /** No words. */
  public static final Synonyms NONE = new Synonyms(Map.of());

  private final Map<String, TreeSet<String>> byWord;

  private Synonyms(Map<String, TreeSet<String>> byWord) {
    this.byWord = byWord;
  }

  /**
   * Reads a file.
   *
   * @throws HoldfastException if a line names one word alone
   */
  public static Synonyms read(Path file) {
    var byWord = new HashMap<String, TreeSet<String>>();
    int number = 0;
    for (var line : lines(file)) {
      number++;
      var words =
          Arrays.stream(line.replaceFirst("#.*", "").split(","))
              .map(String::strip)
              .filter(word -> !word.isEmpty())
              .map(word -> word.toLowerCase(Locale.ROOT))
              .toList();
      if (words.size() == 1) {
        throw HoldfastException.input(
            "%s:%d: '%s' stands alone; a line names words of one meaning, parted by commas",
            file, number, words.getFirst());
      }
      for (var word : words) {
        byWord.computeIfAbsent(word, key -> new TreeSet<>()).addAll(words);
      }
    }
    byWord.forEach((word, others) -> others.remove(word));
    return new Synonyms(byWord);
  }

  private static List<String> lines(Path file) {
    try {
      return Files.readAllLines(file);
    } catch (IOException e) {
      throw HoldfastException.unreadable(file, e);
    }
  }

  /** The words that may stand for a word, in alphabetical order. */
  List<String> of(String word) {
    return List.copyOf(byWord.getOrDefault(word.toLowerCase(Locale.ROOT), new TreeSet<>()));
  }
}
