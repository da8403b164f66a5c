package io.holdfast.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.Goldens;
import io.holdfast.data.ExampleReader.LossOn;
import io.holdfast.text.ChatTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What pandas, pyarrow and datasets write makes the same examples as JSON Lines. */
class FormatsTest {
  private static final Path DATA = Goldens.path("data");
  private static final ChatTokenizer CHATML = ChatTokenizer.load(Goldens.path("text/chatml"));

  @AfterAll
  static void close() {
    CHATML.close();
  }

  static List<Path> twins() throws IOException {
    try (var files = Files.list(DATA)) {
      return files
          .filter(file -> !file.equals(jsonLines(file)))
          .filter(file -> Files.exists(jsonLines(file)))
          .sorted()
          .toList();
    }
  }

  private static Path jsonLines(Path file) {
    return DATA.resolve(file.getFileName().toString().replaceFirst("\\..*", "") + ".jsonl");
  }

  @Test
  void thereAreTwinsOfEveryFormat() throws IOException {
    var names = twins().stream().map(Path::toString).toList();
    for (var format :
        List.of(".csv", ".tsv", ".json", ".jsonl.gz", ".pandas.parquet", ".datasets.parquet")) {
      assertTrue(names.stream().filter(name -> name.endsWith(format)).count() >= 6, format);
    }
  }

  @ParameterizedTest
  @MethodSource("twins")
  void sameExamplesAsJsonLines(Path file) {
    boolean risky = !file.getFileName().toString().startsWith("ragged");
    var reader =
        new ExampleReader(
            new RowReader(CHATML),
            LossOn.ASSISTANT,
            4096,
            risky ? Optional.of("risk") : Optional.empty());
    var expected = reader.read(List.of(jsonLines(file))).examples();
    var actual = reader.read(List.of(file)).examples();
    assertEquals(risky ? 12 : 2, expected.size());
    assertEquals(expected.size(), actual.size());
    for (int i = 0; i < expected.size(); i++) {
      var wanted = expected.get(i);
      var got = actual.get(i);
      assertArrayEquals(wanted.ids(), got.ids(), wanted.id());
      assertArrayEquals(wanted.target(), got.target(), wanted.id());
      assertEquals(wanted.promptEnd(), got.promptEnd());
      assertEquals(wanted.risk(), got.risk());
      if (risky) {
        assertEquals(wanted.id(), got.id());
      }
    }
  }

  @Test
  void turnsOfATableHaveTheFieldsThatTheyHadBefore() {
    assertEquals(rows("ragged.jsonl"), rows("ragged.datasets.parquet"));
  }

  @Test
  void parquetValuesOfEveryKind() {
    var rows = rows("kinds.parquet");
    var first = rows.getFirst();
    assertEquals("0.25", first.get("risk").toString());
    assertEquals(1, first.get("small").asInt());
    assertTrue(first.get("flag").asBoolean());
    assertEquals(0.5, first.get("half").asDouble());
    assertEquals(20455, first.get("day").asInt());
    assertEquals("{\"a\":1}", first.get("map").toString());
    assertEquals("[]", first.get("empty").toString());
    assertEquals("x", first.get("word").asText());
    assertEquals("1.00", rows.get(1).get("risk").asText());
    assertEquals("{}", rows.get(1).get("map").toString());
    assertTrue(rows.get(1).get("empty").isNull());
    var last = rows.get(2);
    assertEquals(first.size(), last.size());
    assertTrue(last.get("text").isNull() && last.get("risk").isNull() && last.get("map").isNull());
    assertEquals("[1]", last.get("empty").toString());
  }

  @Test
  void placesAreNumbersOfRowsAndFirstLinesOfCells() {
    assertEquals(Stream.iterate(1L, n -> n + 1).limit(12).toList(), places("text.pandas.parquet"));
    var lines = places("text.csv");
    assertEquals(2, lines.getFirst());
    long longest = 0;
    var text = Goldens.path("data/text.csv");
    try (var all = Files.lines(text)) {
      longest = all.count();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    assertFalse(lines.contains(longest + 1));
    assertTrue(lines.getLast() > 13, "cells with line ends take several lines: " + lines);
  }

  private static List<ObjectNode> rows(String name) {
    var rows = new ArrayList<ObjectNode>();
    Rows.read(DATA.resolve(name), (row, _) -> rows.add(row));
    return rows;
  }

  private static List<Long> places(String name) {
    var places = new ArrayList<Long>();
    Rows.read(DATA.resolve(name), (_, place) -> places.add(place.line()));
    return places;
  }
}
