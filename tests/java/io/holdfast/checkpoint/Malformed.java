package io.holdfast.checkpoint;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Writes safetensors files by hand, so that a test can lie in any place. */
final class Malformed {
  private Malformed() {}

  /** A file with this header, rightly measured, and these bytes after it. */
  static void write(Path path, String header, byte[] data) throws IOException {
    write(path, header.getBytes(StandardCharsets.UTF_8), data);
  }

  static void write(Path path, byte[] header, byte[] data) throws IOException {
    Files.write(path, bytes(header.length, header, data));
  }

  /** A file that claims a header of {@code length} bytes. */
  static byte[] bytes(long length, byte[] header, byte[] data) {
    return ByteBuffer.allocate(Long.BYTES + header.length + data.length)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(length)
        .put(header)
        .put(data)
        .array();
  }
}
