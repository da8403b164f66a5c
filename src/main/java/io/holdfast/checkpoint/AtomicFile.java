package io.holdfast.checkpoint;

import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * Writes a file so that its name always shows a whole one: the old until the new is on the disk.
 *
 * <p>A temporary file beside it is written and synced, takes the name in one rename, and the folder
 * is synced. A process killed at any point leaves at most a {@code .tmp-} file, which the next
 * write of that name removes.
 */
public final class AtomicFile {
  /** Writes a file's bytes, from the first to the last. */
  @FunctionalInterface
  public interface Content {
    /** Each {@code write} takes the whole buffer. */
    void writeTo(WritableByteChannel out) throws IOException;
  }

  private AtomicFile() {}

  /**
   * Writes or replaces a file.
   *
   * @throws HoldfastException if the disk is full or refuses; the old file is still there then
   */
  public static void write(Path file, Content content) {
    Path temporary = Unfinished.claim(Unfinished.Kind.TMP, file);
    try {
      for (Unfinished leftover : Unfinished.abandoned(file)) {
        Disk.discard(leftover.path());
      }
      try (var out = new Disk.Sink(temporary)) {
        content.writeTo(out);
      }
      Disk.sync(temporary);
      Disk.rename(temporary, file);
      Disk.sync(Unfinished.absolute(file).getParent());
    } catch (IOException e) {
      throw Disk.failure(file, e);
    } finally {
      Disk.discard(temporary);
      Unfinished.release(temporary);
    }
  }

  /** Writes or replaces a small file. */
  public static void write(Path file, byte[] bytes) {
    write(file, out -> out.write(ByteBuffer.wrap(bytes)));
  }

  /** Writes or replaces a text file, in UTF-8. */
  public static void write(Path file, String text) {
    write(file, text.getBytes(StandardCharsets.UTF_8));
  }
}
