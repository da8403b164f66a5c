package io.holdfast.data;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.HoldfastException;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/**
 * Writes JSON Lines to a file that appears under its name only when it is complete, or to standard
 * output where no file is named. Call {@link #commit} when every row is written; closing without it
 * leaves nothing behind.
 */
public final class JsonLinesWriter implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Optional<Path> target;
  private final Path partial;
  private final BufferedWriter writer;
  private boolean committed;

  private JsonLinesWriter(Optional<Path> target, Path partial, BufferedWriter writer) {
    this.target = target;
    this.partial = partial;
    this.writer = writer;
  }

  /** Opens a file, or standard output. */
  public static JsonLinesWriter open(Optional<Path> target) {
    if (target.isEmpty()) {
      var out = new OutputStreamWriter(System.out, StandardCharsets.UTF_8);
      return new JsonLinesWriter(target, null, new BufferedWriter(out));
    }
    var file = target.get().toAbsolutePath();
    try {
      Files.createDirectories(file.getParent());
      var partial =
          file.resolveSibling(
              "." + file.getFileName() + "." + ProcessHandle.current().pid() + ".partial");
      return new JsonLinesWriter(target, partial, Files.newBufferedWriter(partial));
    } catch (IOException e) {
      throw HoldfastException.input(
              "%s: cannot be written (%s). Is the folder writable?", file, e.getMessage())
          .causedBy(e);
    }
  }

  /** Appends one row. */
  public void write(JsonNode row) {
    try {
      writer.write(JSON.writeValueAsString(row));
      writer.write('\n');
      if (target.isEmpty()) {
        writer.flush();
      }
    } catch (IOException e) {
      throw failed(e);
    }
  }

  /** Everything is written: gives the file its name. */
  public void commit() {
    try {
      writer.flush();
      if (target.isPresent()) {
        writer.close();
        try (var channel = FileChannel.open(partial, StandardOpenOption.WRITE)) {
          channel.force(true);
        }
        Files.move(
            partial,
            target.get(),
            StandardCopyOption.ATOMIC_MOVE,
            StandardCopyOption.REPLACE_EXISTING);
      }
      committed = true;
    } catch (IOException e) {
      throw failed(e);
    }
  }

  @Override
  public void close() {
    if (committed || target.isEmpty()) {
      return;
    }
    try {
      writer.close();
    } catch (IOException e) {
      // The rows in the buffer are not wanted any more.
    } finally {
      delete(partial);
    }
  }

  private static void delete(Path partial) {
    try {
      Files.deleteIfExists(partial);
    } catch (IOException e) {
      // What is left behind is named as partial; nothing will take it for a result.
    }
  }

  private HoldfastException failed(IOException e) {
    return HoldfastException.input(
            "%s: cannot be written (%s). Is the disk full?",
            target.map(Path::toString).orElse("standard output"), e.getMessage())
        .causedBy(e);
  }
}
