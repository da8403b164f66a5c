package io.holdfast.data;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import de.siegmar.fastcsv.reader.CloseableIterator;
import de.siegmar.fastcsv.reader.CsvParseException;
import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.CsvRecord;
import de.siegmar.fastcsv.reader.FieldMismatchStrategy;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;

/**
 * Rows of a table as text (RFC 4180): a header line, quoted cells with line ends and doubled
 * quotes, UTF-8. Every cell is text; a column without a name, such as the index that pandas writes,
 * is left out.
 */
final class DelimitedRows extends Rows {
  private static final int LONGEST_CELL = 1 << 26;

  private final CsvReader<CsvRecord> reader;
  private final CloseableIterator<CsvRecord> records;
  private final List<String> header;
  private long line = 1;

  DelimitedRows(Path file, char separator) throws IOException {
    super(file);
    var text = new InputStreamReader(bytes(file), StandardCharsets.UTF_8.newDecoder());
    this.reader =
        CsvReader.builder()
            .fieldSeparator(separator)
            .maxBufferSize(LONGEST_CELL)
            .extraFieldStrategy(FieldMismatchStrategy.IGNORE)
            .missingFieldStrategy(FieldMismatchStrategy.IGNORE)
            .ofCsvRecord(text);
    this.records = reader.iterator();
    try {
      var first = nextRecord();
      this.header = first == null ? List.of() : first.getFields();
      checkHeader(separator);
    } catch (HoldfastException e) {
      close();
      throw e;
    }
  }

  private void checkHeader(char separator) {
    if (header.size() == 1 && header.getFirst().contains(separator == ',' ? ";" : ",")) {
      throw place(1)
          .bad(
              "the header is a single column '%s'; cells must be separated by %s",
              header.getFirst(), separator == ',' ? "commas (.csv) or tabs (.tsv)" : "tabs (.tsv)");
    }
    var seen = new HashSet<String>();
    for (var name : header) {
      if (!name.isEmpty() && !seen.add(name)) {
        throw place(1).bad("two columns are called '%s'; rename one", name);
      }
    }
  }

  @Override
  Row advance() {
    var cells = nextRecord();
    if (cells == null) {
      return null;
    }
    var place = place(cells.getStartingLineNumber());
    if (cells.getFieldCount() != header.size()) {
      throw place.bad(
          "the row has %d cells, the header %d columns (%s). A cell with a separator, a quote or a"
              + " line end in it must stand in double quotes.",
          cells.getFieldCount(), header.size(), String.join(", ", header));
    }
    var json = JsonNodeFactory.instance.objectNode();
    for (int i = 0; i < header.size(); i++) {
      if (!header.get(i).isEmpty()) {
        json.put(header.get(i), cells.getField(i));
      }
    }
    return new Row(json, place);
  }

  private CsvRecord nextRecord() {
    try {
      if (!records.hasNext()) {
        return null;
      }
      var cells = records.next();
      line = cells.getStartingLineNumber() + 1;
      return cells;
    } catch (CsvParseException e) {
      throw place(line).bad("%s; look for a quote that is not closed", reason(e));
    } catch (UncheckedIOException e) {
      if (e.getCause() instanceof CharacterCodingException) {
        throw place(line)
            .bad("is not UTF-8 here or in the rows that follow; save the file as UTF-8");
      }
      throw HoldfastException.unreadable(file(), e.getCause());
    }
  }

  private static String reason(CsvParseException e) {
    if (e.getCause() instanceof CharacterCodingException) {
      return "is not UTF-8 here or in the rows that follow; save the file as UTF-8";
    }
    return e.getCause() == null ? e.getMessage() : e.getCause().getMessage();
  }

  @Override
  public void close() {
    try {
      reader.close();
    } catch (IOException e) {
      throw HoldfastException.unreadable(file(), e);
    }
  }
}
