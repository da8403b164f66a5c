package io.holdfast.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Broken files end in an error that names the file, never in another. */
class MalformedRowsTest {
  @TempDir private Path folder;

  @Test
  void aRowWithTooFewOrTooManyCells() {
    var text = error("rows.csv", "prompt,completion\n\"a\nb\",c\nd\n");
    assertTrue(text.contains("rows.csv:4: the row has 1 cells, the header 2 columns"), text);
    assertTrue(error("rows.csv", "a,b\n1,2,3\n").contains("rows.csv:2: the row has 3 cells"));
  }

  @Test
  void aQuoteThatIsNotClosed() {
    // The rest of the file is then one cell.
    var text = error("rows.csv", "prompt,completion\na,b\n\"c,d\ne,f\n");
    assertTrue(text.contains("rows.csv:3: "), text);
    assertTrue(text.contains("quote"), text);
  }

  @Test
  void twoColumnsOfOneName() {
    assertTrue(error("rows.csv", "a,b,a\n1,2,3\n").contains("rows.csv:1: two columns"));
  }

  @Test
  void anotherSeparator() {
    assertTrue(error("rows.csv", "prompt;completion\na;b\n").contains("separated by commas"));
    assertTrue(error("rows.tsv", "prompt,completion\na,b\n").contains("separated by tabs"));
  }

  @Test
  void cellsThatAreNotUtf8() throws IOException {
    var file = folder.resolve("rows.csv");
    Files.write(file, "text\nx\n\u00e9\n".getBytes(StandardCharsets.ISO_8859_1));
    var text = error(file);
    assertTrue(text.contains("rows.csv:") && text.contains("UTF-8"), text);
  }

  @Test
  void whatIsNotGzip() {
    var text = error("rows.jsonl.gz", "{\"text\": \"a\"}\n");
    assertTrue(text.contains("rows.jsonl.gz: cannot be read"), text);
  }

  @Test
  void gzipCutShort() throws IOException {
    byte[] whole = Files.readAllBytes(Goldens.path("data/text.jsonl.gz"));
    var file = Files.write(folder.resolve("rows.jsonl.gz"), java.util.Arrays.copyOf(whole, 60));
    assertTrue(error(file).contains("rows.jsonl.gz"));
  }

  @Test
  void anObjectWithoutRowsOrWithTwoArrays() {
    // Neither says where its rows are: each is then a row of its own.
    for (var json : List.of("{\"a\": [1]}", "{\"a\": [{}], \"b\": [{}]}")) {
      var rows = new ArrayList<String>();
      Rows.read(write("rows.json", json), (row, _) -> rows.add(row.toString()));
      assertEquals(List.of(json.replace(" ", "")), rows);
    }
  }

  @Test
  void arraysInObjectsAreFoundBehindOtherFields() {
    var json =
        """
        {"about": {"rows": [{"no": 1}]}, "tags": ["x", {"no": 2}], "none": [],
         "rows": [{"text": "a"},
                  {"text": "b"}], "after": 3}
        """;
    var rows = new ArrayList<String>();
    Rows.read(write("rows.json", json), (row, place) -> rows.add(place.line() + row.toString()));
    assertEquals(List.of("2{\"text\":\"a\"}", "3{\"text\":\"b\"}"), rows);
    var cut = json.substring(0, json.indexOf("\"b\""));
    assertTrue(error("cut.json", cut).contains("cut.json:3: column"), error("cut.json", cut));
  }

  @Test
  void aRowOfTurnsIsNoContainer() {
    var json = "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}";
    var rows = new ArrayList<String>();
    Rows.read(write("rows.json", json), (row, _) -> rows.add(row.fieldNames().next()));
    assertEquals(List.of("messages"), rows);
  }

  @Test
  void parquetThatIsNone() {
    var text = error("rows.parquet", "{\"text\": \"a\"}\n");
    assertTrue(text.contains("rows.parquet: is not a Parquet file"), text);
    assertTrue(error("empty.parquet", "").contains("empty.parquet: is not a Parquet file"));
  }

  @Test
  void parquetWithPagesThatAreNotRead() {
    var text = error(Goldens.path("data/brotli.parquet"));
    assertTrue(text.contains("BROTLI") && text.contains("snappy"), text);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "messages.pandas.parquet",
        "messages.zstd.parquet",
        "alpaca.lz4.parquet",
        "alpaca.gzip.parquet",
        "messages.csv",
        "messages.object.json",
        "messages.jsonl.gz"
      })
  void damageEverywhere(String name) throws IOException {
    byte[] whole = Files.readAllBytes(Goldens.path("data").resolve(name));
    var random = new Random(name.hashCode());
    var file = folder.resolve(name);
    int refused = 0;
    for (int i = 0; i < 150; i++) {
      var bytes = whole.clone();
      if (i % 3 == 0) {
        bytes = java.util.Arrays.copyOf(bytes, random.nextInt(bytes.length));
      } else {
        for (int k = 0; k < 1 + i % 5; k++) {
          bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
        }
      }
      Files.write(file, bytes);
      try {
        Rows.read(file, (_, _) -> {});
      } catch (HoldfastException e) {
        assertEquals(ExitCode.INPUT, e.exitCode());
        assertTrue(e.getMessage().contains(name), e.getMessage());
        refused++;
      }
    }
    assertTrue(refused >= 40, "only " + refused);
  }

  private Path write(String name, String text) {
    try {
      return Files.writeString(folder.resolve(name), text);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private String error(String name, String text) {
    return error(write(name, text));
  }

  private static String error(Path file) {
    var error = assertThrows(HoldfastException.class, () -> Rows.read(file, (_, _) -> {}));
    assertEquals(ExitCode.INPUT, error.exitCode());
    return error.getMessage();
  }
}
