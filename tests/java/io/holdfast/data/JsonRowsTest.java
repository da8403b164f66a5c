package io.holdfast.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class JsonRowsTest {
  @TempDir private Path folder;

  @Test
  void linesAndArraysAreTheSameRows() throws IOException {
    var expected = List.of("{\"a\":1}", "{\"a\":\"\u2028é😀\"}", "{\"a\":[{}]}");
    assertEquals(expected, rows("{\"a\":1}\r\n\n  {\"a\": \"\\u2028é😀\"} \n{\"a\":[{}]}"));
    assertEquals(expected, rows("\uFEFF{\"a\":1}\n{\"a\":\"\\u2028é😀\"}\n{\"a\":[{}]}\n"));
    assertEquals(expected, rows(" \n[{\"a\":1},\n {\"a\":\"\\u2028é😀\"}, {\"a\":[{}]}]\n"));
    assertEquals(List.of(), rows(""));
    assertEquals(List.of(), rows("[]"));
  }

  @Test
  void placesAreLines() throws IOException {
    assertEquals(List.of(2L, 4L), lines("\n{}\n\n{}\n"));
    assertEquals(List.of(2L, 2L, 5L), lines("[\n{}, {},\n\n\n{}]"));
  }

  @Test
  void aBrokenLineIsNamed() throws IOException {
    assertTrue(error("{\"a\": 1}\n{\"a\": 1\n{\"a\": 2}\n").contains("rows.jsonl:2: column"));
    assertTrue(error("{\"a\": 1}\n{\"a\": x}\n").contains("rows.jsonl:2: column 7"));
    assertTrue(error("{\"a\": 1} {\"a\": 2}\n").contains("rows.jsonl:1: column"));
    assertTrue(error("{\"a\": 1}\n3\n").contains("rows.jsonl:2: is not a JSON object"));
    assertTrue(error("[{\"a\": 1},\n{\"a\": }]").contains("rows.jsonl:2: column"));
    assertTrue(error("[{\"a\": 1},\n").contains("rows.jsonl"));
  }

  @Test
  void aLineThatIsNotUtf8IsNamed() throws IOException {
    var bytes = "{\"a\": \"x\"}\n{\"a\": \"\u00e9\"}\n".getBytes(StandardCharsets.ISO_8859_1);
    var file = Files.write(folder.resolve("rows.jsonl"), bytes);
    assertTrue(error(file).contains("rows.jsonl:2: "));
  }

  @Test
  void aMissingFileIsNamed() {
    assertTrue(error(folder.resolve("none.jsonl")).contains("none.jsonl: there is no such file"));
  }

  @Test
  void aFolderAndAPipeAreNamedForWhatTheyAre() {
    assertTrue(error(folder).endsWith(": is a folder; name a file of rows"), error(folder));
    var pipe = error(Path.of("/dev/null"));
    assertTrue(pipe.startsWith("/dev/null: is no regular file; write the rows to one"), pipe);
  }

  private List<String> rows(String text) throws IOException {
    var rows = new ArrayList<String>();
    Rows.read(write(text), (json, place) -> rows.add(json.toString()));
    return rows;
  }

  private List<Long> lines(String text) throws IOException {
    var lines = new ArrayList<Long>();
    Rows.read(write(text), (json, place) -> lines.add(place.line()));
    return lines;
  }

  private Path write(String text) throws IOException {
    return Files.writeString(folder.resolve("rows.jsonl"), text);
  }

  private String error(String text) throws IOException {
    return error(write(text));
  }

  private static String error(Path file) {
    var error = assertThrows(HoldfastException.class, () -> Rows.read(file, (json, place) -> {}));
    assertEquals(ExitCode.INPUT, error.exitCode());
    return error.getMessage();
  }
}
