package io.holdfast.data;

import java.nio.file.Path;

/**
 * Where a row stands.
 *
 * @param file its file
 * @param line from 1; for a JSON array the number of the element
 */
public record Place(Path file, long line) {
  @Override
  public String toString() {
    return file + ":" + line;
  }
}
