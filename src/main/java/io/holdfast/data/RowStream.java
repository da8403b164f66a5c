package io.holdfast.data;

import io.holdfast.HoldfastException;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;

/**
 * The rows of several files, one after another. A file that turns out to be broken ends with the
 * error as its last element, so that what is wrong is told in the order of the rows.
 */
final class RowStream implements Iterator<RowStream.Element>, AutoCloseable {
  /** A row, or why there is none. */
  record Element(Rows.Row row, HoldfastException broken) {}

  private final Iterator<Path> files;
  private Rows rows;
  private Element next;

  RowStream(List<Path> files) {
    this.files = files.iterator();
  }

  @Override
  public boolean hasNext() {
    try {
      while (next == null && (rows != null || files.hasNext())) {
        if (rows == null) {
          rows = Rows.open(files.next());
        }
        if (rows.hasNext()) {
          next = new Element(rows.next(), null);
        } else {
          close();
        }
      }
    } catch (HoldfastException e) {
      close();
      next = new Element(null, e);
    }
    return next != null;
  }

  @Override
  public Element next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    var element = next;
    next = null;
    return element;
  }

  @Override
  public void close() {
    if (rows != null) {
      rows.close();
      rows = null;
    }
  }
}
