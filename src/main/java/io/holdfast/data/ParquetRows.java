package io.holdfast.data;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Path;
import org.apache.parquet.ParquetReadOptions;
import org.apache.parquet.conf.PlainParquetConfiguration;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.io.ColumnIOFactory;
import org.apache.parquet.io.LocalInputFile;
import org.apache.parquet.io.MessageColumnIO;
import org.apache.parquet.io.RecordReader;

/** Rows of a Parquet file; the number of a row, from 1, stands for its line. */
final class ParquetRows extends Rows {
  private final ParquetFileReader reader;
  private final MessageColumnIO columns;
  private RecordReader<ObjectNode> group;
  private long left;
  private long row;

  ParquetRows(Path file) throws IOException {
    super(file);
    var options =
        ParquetReadOptions.builder(new PlainParquetConfiguration())
            .withCodecFactory(new ParquetCodecs())
            .build();
    try {
      this.reader = ParquetFileReader.open(new LocalInputFile(file), options);
      this.columns = new ColumnIOFactory().getColumnIO(reader.getFileMetaData().getSchema());
    } catch (RuntimeException e) {
      // A broken footer shows itself in many ways, from bad lengths to bad encodings.
      throw broken(e);
    }
  }

  @Override
  Row advance() throws IOException {
    try {
      while (left == 0) {
        var pages = reader.readNextRowGroup();
        if (pages == null) {
          return null;
        }
        left = pages.getRowCount();
        group = columns.getRecordReader(pages, new ParquetJson(columns.getType()));
      }
      left--;
      row++;
      return new Row(group.read(), place(row));
    } catch (RuntimeException e) {
      throw broken(e);
    }
  }

  private HoldfastException broken(RuntimeException e) {
    if (e instanceof HoldfastException known) {
      return known;
    }
    Throwable cause = e;
    while (cause.getCause() != null) {
      cause = cause.getCause();
    }
    var reason = cause.getMessage() == null ? cause.toString() : cause.getMessage();
    return HoldfastException.input(
            "%s: is not a Parquet file that can be read (%s); write it again, with snappy or zstd",
            row == 0 ? file() : place(row), reason.lines().findFirst().orElse(""))
        .causedBy(e);
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
