package io.holdfast.cli.demo;

import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** A folder that one process at a time works in; its end, of any kind, gives the folder free. */
final class FolderLock implements AutoCloseable {
  private final FileChannel file;

  private FolderLock(FileChannel file) {
    this.file = file;
  }

  /**
   * Takes a folder, which is made if it is missing.
   *
   * @throws HoldfastException if another holds it
   */
  static FolderLock of(Path folder) {
    try {
      Files.createDirectories(folder);
      var file =
          FileChannel.open(
              folder.resolve(".lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      if (taken(file)) {
        return new FolderLock(file);
      }
      file.close();
    } catch (IOException e) {
      throw HoldfastException.input("%s: cannot be locked (%s)", folder, e.getMessage());
    }
    throw HoldfastException.usage(
        "%s: another comparison is at work here, and their runs would mix; wait for it, take other"
            + " --seeds, or give another --out",
        folder);
  }

  private static boolean taken(FileChannel file) throws IOException {
    try {
      return file.tryLock() != null;
    } catch (OverlappingFileLockException e) {
      return false;
    }
  }

  @Override
  public void close() {
    try {
      file.close();
    } catch (IOException e) {
      throw HoldfastException.input("a folder's lock cannot be given back: %s", e.getMessage());
    }
  }
}
