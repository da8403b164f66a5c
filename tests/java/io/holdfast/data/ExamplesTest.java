package io.holdfast.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import io.holdfast.data.ExampleReader.LossOn;
import io.holdfast.text.ChatTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Examples that are kept in a mapped file are those that are kept in memory. */
class ExamplesTest {
  private static final ChatTokenizer CHATML = ChatTokenizer.load(Goldens.path("text/chatml"));
  private static final List<Path> FILES =
      List.of(
          Goldens.path("data/messages.jsonl"),
          Goldens.path("data/text.pandas.parquet"),
          Goldens.path("data/alpaca.csv"));

  @TempDir private Path folder;

  @AfterAll
  static void close() {
    CHATML.close();
  }

  @Test
  void mappedExamplesAreThoseInMemory() {
    for (int length : new int[] {4096, 60}) {
      var reader = reader(length, Optional.of("risk"));
      var expected = reader.read(FILES);
      var actual = reader.read(FILES, folder.resolve("kept" + length), "key");
      assertEquals(expected.cut(), actual.cut());
      assertEquals(expected.dropped(), actual.dropped());
      assertSame(expected.examples(), actual.examples());
    }
  }

  private static void assertSame(List<Example> expected, List<Example> actual) {
    assertEquals(expected.size(), actual.size());
    // Backwards: each is at hand without those before it.
    for (int i = expected.size() - 1; i >= 0; i--) {
      var wanted = expected.get(i);
      var got = actual.get(i);
      assertArrayEquals(wanted.ids(), got.ids());
      assertArrayEquals(wanted.target(), got.target());
      assertEquals(wanted.id(), got.id());
      assertEquals(wanted.place(), got.place());
      assertEquals(wanted.instructionEnd(), got.instructionEnd());
      assertEquals(wanted.promptEnd(), got.promptEnd());
      assertEquals(wanted.risk(), got.risk());
      assertEquals(wanted.ids().length, ((Examples) actual).length(i));
    }
    assertThrows(IndexOutOfBoundsException.class, () -> actual.get(expected.size()));
  }

  @Test
  void aFileIsMadeOnceForEachKey() throws IOException {
    var rows = Files.copy(FILES.getFirst(), folder.resolve("rows.jsonl"));
    var kept = folder.resolve("deep/er/kept");
    var reader = reader(4096, Optional.empty());
    var first = reader.read(List.of(rows), kept, "a");
    // What is not read cannot be missed.
    Files.delete(rows);
    assertSame(first.examples(), reader.read(List.of(rows), kept, "a").examples());
    assertThrows(HoldfastException.class, () -> reader.read(List.of(rows), kept, "b"));
    Files.copy(FILES.getFirst(), rows);
    assertSame(first.examples(), reader.read(List.of(rows), kept, "b").examples());
  }

  @Test
  void aBrokenRowLeavesNoFileAndTheFirstOfThemIsNamed() throws IOException {
    var lines = new StringBuilder();
    for (int i = 1; i <= 500; i++) {
      lines.append(i % 70 == 0 ? "{\"x\": 1}\n" : "{\"text\": \"the cat sat\"}\n");
    }
    var rows = Files.writeString(folder.resolve("rows.jsonl"), lines + "{");
    var kept = folder.resolve("kept");
    for (int i = 0; i < 20; i++) {
      var error =
          assertThrows(
              HoldfastException.class,
              () -> reader(64, Optional.empty()).read(List.of(rows), kept, "a"));
      assertTrue(error.getMessage().contains("rows.jsonl:70: "), error.getMessage());
    }
    try (var files = Files.list(folder)) {
      assertEquals(List.of(rows), files.toList());
    }
  }

  @Test
  void aFileThatIsSomethingElseIsMadeAgain() throws IOException {
    var rows = List.of(FILES.getFirst());
    var expected = reader(64, Optional.empty()).read(rows).examples();
    for (var text : List.of("", "short", "x".repeat(5000))) {
      var kept = Files.writeString(folder.resolve("kept" + text.length()), text);
      assertSame(expected, reader(64, Optional.empty()).read(rows, kept, "a").examples());
    }
  }

  @Test
  void oneBadRowAfterAnotherIsHeardOf() throws IOException {
    var rows = Files.writeString(folder.resolve("a.jsonl"), "{\"x\": 1}\n{\"text\": \"a b\"}\n{\n");
    var more = Files.writeString(folder.resolve("b.jsonl"), "{\"text\": \"a b\"}\n{\"y\": 1}\n");
    var told = new StringBuilder();
    var sink =
        new ExampleReader.Sink() {
          @Override
          public void accept(Example example) {
            told.append(example.place().line()).append(' ');
          }

          @Override
          public void refuse(HoldfastException error) {
            told.append(error.getMessage().replaceAll("^.*/(.\\.jsonl:\\d+):.*", "$1 "));
          }
        };
    var reader = reader(64, Optional.empty());
    assertEquals(5, reader.read(List.of(rows, more), Long.MAX_VALUE, sink).rows());
    assertEquals("a.jsonl:1 2 a.jsonl:3 1 b.jsonl:2 ", told.toString());
    assertEquals(3, reader.read(List.of(rows, more), 3, sink).rows());
  }

  @Test
  void columnsMayHaveOtherNames() throws IOException {
    var plain = Files.writeString(folder.resolve("a.csv"), "prompt,completion\nwho?,me\n");
    var named =
        Files.writeString(
            folder.resolve("b.csv"), "Frage,Antwort,text,prompt\nwho?,me,other,wrong\n");
    var columns =
        new Columns(
            new java.util.TreeMap<>(java.util.Map.of("prompt", "Frage", "completion", "Antwort")));
    var reader =
        new ExampleReader(new RowReader(CHATML, columns), LossOn.COMPLETION, 64, Optional.empty());
    var expected = reader(64, Optional.empty()).read(List.of(plain)).examples().getFirst();
    var actual = reader.read(List.of(named)).examples().getFirst();
    assertArrayEquals(expected.ids(), actual.ids());
    assertArrayEquals(expected.target(), actual.target());
    var missing =
        assertThrows(HoldfastException.class, () -> reader.read(List.of(plain))).getMessage();
    assertTrue(
        missing.contains("a.csv:2: there is no column 'Antwort', which data.columns names"),
        missing);
    assertTrue(missing.contains("the row has prompt, completion"), missing);
    assertFalse(Columns.isName("question"));
  }

  private static ExampleReader reader(int maxLength, Optional<String> risk) {
    return new ExampleReader(new RowReader(CHATML), LossOn.ASSISTANT, maxLength, risk);
  }
}
