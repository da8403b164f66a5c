package io.holdfast.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.Goldens;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StopStringsTest {
  private static final String TEXT =
      "Grüße aus Köln! 你好，世界 🙂🙃 the end is near\n\n### Next: naïve café, 👩‍👩‍👧 and so on. END";

  /** The first number of tokens whose text, decoded as a whole, holds one of the stop strings. */
  private static int expected(Tokenizer tokenizer, int[] ids, List<String> stops) {
    for (int n = 1; n <= ids.length; n++) {
      var text = tokenizer.decode(Arrays.copyOf(ids, n), true);
      if (stops.stream().anyMatch(text::contains)) {
        return n;
      }
    }
    return -1;
  }

  private static int found(Tokenizer tokenizer, int[] ids, List<String> stops) {
    var watch = new StopStrings(stops, tokenizer).watch();
    return IntStream.range(0, ids.length).filter(i -> watch.endsWith(ids[i])).findFirst().orElse(-2)
        + 1;
  }

  @ParameterizedTest
  @ValueSource(strings = {"chatml", "llama3", "llama2", "unigram"})
  void endsAtTheTokenThatCompletesAStopString(String name) {
    var random = new Random(9);
    try (var tokenizer = Tokenizer.load(Goldens.path("text/" + name))) {
      int[] ids = tokenizer.encode(TEXT.repeat(2), false);
      var whole = tokenizer.decode(ids, true);
      int inside = 0;
      for (int trial = 0; trial < 300; trial++) {
        var stops = new ArrayList<String>();
        for (int i = 0; i <= random.nextInt(3); i++) {
          int from = random.nextInt(whole.length() - 12);
          stops.add(whole.substring(from, from + 1 + random.nextInt(11)));
        }
        int end = expected(tokenizer, ids, stops);
        assertEquals(end, found(tokenizer, ids, stops), stops.toString());
        inside += end > 0 && end < ids.length ? 1 : 0;
      }
      assertTrue(inside > 200, "hardly anything was stopped");
      assertEquals(-1, found(tokenizer, ids, List.of("nowhere to be found")));
    }
  }

  /** Ids of any kind: parts of characters, special tokens, bytes that are no text. */
  @ParameterizedTest
  @ValueSource(strings = {"chatml", "llama3"})
  void holdsForTokensThatAreNoText(String name) {
    var random = new Random(10);
    try (var tokenizer = Tokenizer.load(Goldens.path("text/" + name))) {
      int stopped = 0;
      for (int trial = 0; trial < 300; trial++) {
        int[] ids = random.ints(60, 0, tokenizer.vocabularySize()).toArray();
        var whole = tokenizer.decode(ids, true);
        int from = random.nextInt(Math.max(1, whole.length() - 5));
        var stop = whole.substring(from, Math.min(whole.length(), from + 1 + random.nextInt(5)));
        if (stop.isEmpty() || stop.contains("\uFFFD")) {
          continue;
        }
        int end = expected(tokenizer, ids, List.of(stop));
        assertEquals(end, found(tokenizer, ids, List.of(stop)), stop + " in " + whole);
        stopped++;
      }
      assertTrue(stopped > 50, "hardly anything was text: " + stopped);
    }
  }

  @Test
  void textIsCutBeforeTheFirst() {
    var stops = new StopStrings(List.of("END", "\n\n"), null);
    assertEquals("a b", stops.before("a b\n\nc END d"));
    assertEquals("a b", stops.before("a b"));
    assertEquals("", stops.before("ENDING"));
    assertFalse(StopStrings.NONE.watch().endsWith(3));
    assertThrows(IllegalArgumentException.class, () -> new StopStrings(List.of(""), null));
  }
}
