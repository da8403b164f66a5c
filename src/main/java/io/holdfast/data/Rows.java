package io.holdfast.data;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.Locale;
import java.util.NoSuchElementException;
import java.util.function.BiConsumer;
import java.util.zip.GZIPInputStream;

/**
 * The rows of a file, one by one, so that it may be larger than memory. The name says what it is:
 *
 * <pre>
 * .parquet       a table; row groups are read one at a time
 * .csv, .tsv     RFC 4180 with a header line, by commas or tabs
 * .json          an array of objects, an object that holds one such array, or as below
 * anything else  JSON Lines, or an array of objects
 * </pre>
 *
 * All but Parquet, which packs its pages itself, may be gzipped, with {@code .gz} after the name.
 */
public abstract sealed class Rows implements Iterator<Rows.Row>, AutoCloseable
    permits JsonRows, DelimitedRows, ParquetRows {
  /** One row, as JSON whatever the format, and where it stands. */
  public record Row(ObjectNode json, Place place) {}

  private final Path file;
  private Row next;

  Rows(Path file) {
    this.file = file;
  }

  /** Opens a file. */
  public static Rows open(Path file) {
    if (!Files.isRegularFile(file)) {
      throw HoldfastException.input(
          "%s: %s",
          file,
          Files.isDirectory(file)
              ? "is a folder; name a file of rows"
              : Files.exists(file)
                  ? "is no regular file; write the rows to one, they are read more than once"
                  : "there is no such file");
    }
    var name = file.getFileName().toString().toLowerCase(Locale.ROOT).replaceFirst("\\.gz$", "");
    try {
      return switch (name.substring(name.lastIndexOf('.') + 1)) {
        case "parquet" -> new ParquetRows(file);
        case "csv" -> new DelimitedRows(file, ',');
        case "tsv" -> new DelimitedRows(file, '\t');
        case "json" -> new JsonRows(file, JsonRows.container(file));
        default -> new JsonRows(file);
      };
    } catch (IOException e) {
      throw HoldfastException.unreadable(file, e);
    }
  }

  /** Hands over every row of a file with its place, in order. */
  public static void read(Path file, BiConsumer<ObjectNode, Place> action) {
    try (var rows = open(file)) {
      rows.forEachRemaining(row -> action.accept(row.json(), row.place()));
    }
  }

  /** The next row, or null after the last. */
  abstract Row advance() throws IOException;

  /** Where row number or line {@code number} is. */
  Place place(long number) {
    return new Place(file, number);
  }

  Path file() {
    return file;
  }

  @Override
  public final boolean hasNext() {
    if (next == null) {
      try {
        next = advance();
      } catch (IOException e) {
        throw HoldfastException.unreadable(file, e);
      }
    }
    return next != null;
  }

  @Override
  public final Row next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    var row = next;
    next = null;
    return row;
  }

  @Override
  public abstract void close();

  /** A file's bytes, unpacked, without a byte order mark. */
  static InputStream bytes(Path file) throws IOException {
    var raw = Files.newInputStream(file);
    try {
      boolean packed = file.toString().toLowerCase(Locale.ROOT).endsWith(".gz");
      var input = new BufferedInputStream(packed ? new GZIPInputStream(raw) : raw, 1 << 16);
      input.mark(3);
      if (input.read() != 0xEF || input.read() != 0xBB || input.read() != 0xBF) {
        input.reset();
      }
      return input;
    } catch (IOException e) {
      raw.close();
      throw e;
    }
  }
}
