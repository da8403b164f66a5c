package io.holdfast.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.LongNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.data.Place;
import io.holdfast.data.Rows;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
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
    return rows(file);
  }

  /** All rows of a file. */
  static List<Row> rows(Path file) {
    var rows = new ArrayList<Row>();
    Rows.read(file, (content, place) -> rows.add(new Row(content, place)));
    return rows;
  }
}
