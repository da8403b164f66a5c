package io.holdfast.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.LongNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.data.Place;
import io.holdfast.data.Rows;
import java.nio.file.Path;
import java.util.List;
import java.util.Spliterators;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import picocli.CommandLine.Option;

/** {@code --input}: a file of rows. */
final class InputOption {
  /** A row and where it stands. */
  record Row(ObjectNode content, Place place) {
    /** The row's own id, of whatever type, or its line. */
    JsonNode id() {
      return content.has("id") ? content.get("id") : new LongNode(place.line());
    }
  }

  @Option(
      names = {"-i", "--input"},
      paramLabel = "FILE",
      required = true,
      description = "Rows: .jsonl, .json, .csv, .tsv or .parquet.")
  private Path file;

  /** All rows, in the order of the file. */
  List<Row> rows() {
    try (var rows = stream(file)) {
      return rows.toList();
    }
  }

  /** The file. */
  Path file() {
    return file;
  }

  /** All rows of a file, read as they are asked for; closing the stream closes the file. */
  static Stream<Row> stream(Path file) {
    var rows = Rows.open(file);
    return StreamSupport.stream(Spliterators.spliteratorUnknownSize(rows, 0), false)
        .map(row -> new Row(row.json(), row.place()))
        .onClose(rows::close);
  }
}
