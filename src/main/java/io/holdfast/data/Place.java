package io.holdfast.data;

import io.holdfast.HoldfastException;
import java.nio.file.Path;

/**
 * Where a row stands; prints as {@code file:line}.
 *
 * @param line from 1, of the first line of a row; in a Parquet file the number of the row
 */
public record Place(Path file, long line) {
  /** An error of this row. */
  public HoldfastException bad(String format, Object... arguments) {
    return HoldfastException.input("%s: %s", this, format.formatted(arguments));
  }

  /** An error that was found without knowing the row, now with it. */
  public HoldfastException bad(HoldfastException cause) {
    return HoldfastException.input("%s: %s", this, cause.getMessage()).causedBy(cause);
  }

  @Override
  public String toString() {
    return file + ":" + line;
  }
}
