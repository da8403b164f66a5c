package io.holdfast.data;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;

/** Writes the file that {@link Examples} maps, from start to end. */
final class ExamplesWriter implements ExampleReader.Sink {
  private static final int BUFFER = 1 << 20;

  private final WritableByteChannel out;
  private final String key;
  private final Map<Path, Integer> files = new LinkedHashMap<>();
  private ByteBuffer buffer = allocate(BUFFER);
  private long[] offsets = new long[1024];
  private int size;
  private long written;

  ExamplesWriter(WritableByteChannel out, String key) {
    this.out = out;
    this.key = key;
  }

  /** Writes all examples of a source, and what must stand behind them. */
  void write(Function<ExampleReader.Sink, Examples.Counts> source) throws IOException {
    Examples.Counts counts;
    try {
      counts = source.apply(this);
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    long index = position();
    for (int i = 0; i < size; i++) {
      reserve(8).putLong(offsets[i]);
    }
    byte[] about = about(counts);
    reserve(about.length + Examples.TAIL)
        .put(about)
        .putLong(index)
        .putInt(size)
        .putInt(about.length)
        .put(Examples.MARK);
    flush();
  }

  private byte[] about(Examples.Counts counts) throws IOException {
    var json = new ObjectMapper().createObjectNode();
    json.put("key", key);
    var names = json.putArray("files");
    files.keySet().forEach(file -> names.add(file.toString()));
    json.put("rows", counts.rows());
    json.put("cut", counts.cut());
    json.put("dropped", counts.dropped());
    return json.toString().getBytes(StandardCharsets.UTF_8);
  }

  @Override
  public void accept(Example example) {
    int length = example.ids().length;
    var place = example.place();
    byte[] id =
        example.id().equals(place.toString())
            ? null
            : example.id().getBytes(StandardCharsets.UTF_8);
    int targets = (length + 7) / 8;
    try {
      remember(position());
      var record =
          reserve(Examples.HEAD + 4 * length + targets + (id == null ? 0 : id.length))
              .putInt(length)
              .putInt(example.instructionEnd())
              .putInt(example.promptEnd())
              .putFloat(example.risk())
              .putInt(files.computeIfAbsent(place.file(), _ -> files.size()))
              .putLong(place.line())
              .putInt(id == null ? -1 : id.length);
      for (int token : example.ids()) {
        record.putInt(token);
      }
      record.put(bits(example.target(), targets));
      if (id != null) {
        record.put(id);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static byte[] bits(boolean[] target, int bytes) {
    var bits = new byte[bytes];
    for (int t = 0; t < target.length; t++) {
      bits[t >> 3] |= (byte) (target[t] ? 1 << (t & 7) : 0);
    }
    return bits;
  }

  private void remember(long offset) {
    if (size == offsets.length) {
      offsets = Arrays.copyOf(offsets, Math.addExact(size, size >> 1));
    }
    offsets[size++] = offset;
  }

  private long position() {
    return written + buffer.position();
  }

  /** The buffer, with room for so many bytes. */
  private ByteBuffer reserve(int bytes) throws IOException {
    if (buffer.remaining() < bytes) {
      flush();
      if (buffer.capacity() < bytes) {
        buffer = allocate(bytes);
      }
    }
    return buffer;
  }

  private void flush() throws IOException {
    written += buffer.position();
    out.write(buffer.flip());
    buffer.clear();
  }

  private static ByteBuffer allocate(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }
}
