package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** A folder that is gone when it is closed, or when the process ends. */
final class ScratchFolder implements AutoCloseable {
  private final Path path;
  private final Thread atExit = new Thread(this::delete);

  private ScratchFolder(Path path) {
    this.path = path;
    Runtime.getRuntime().addShutdownHook(atExit);
  }

  /** A new one in {@code TMPDIR}, or where the system keeps what is temporary. */
  static ScratchFolder create() {
    var parent =
        Path.of(
            Optional.ofNullable(System.getenv("TMPDIR"))
                .orElse(System.getProperty("java.io.tmpdir")));
    try {
      return new ScratchFolder(Files.createTempDirectory(parent, "holdfast-"));
    } catch (IOException e) {
      throw HoldfastException.input(
              "%s: no folder can be created there (%s); set TMPDIR to another", parent, e)
          .causedBy(e);
    }
  }

  Path path() {
    return path;
  }

  private void delete() {
    AtomicFolder.delete(path);
  }

  @Override
  public void close() {
    Runtime.getRuntime().removeShutdownHook(atExit);
    delete();
  }
}
