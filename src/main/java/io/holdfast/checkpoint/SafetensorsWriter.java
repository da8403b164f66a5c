package io.holdfast.checkpoint;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.kernels.DType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;

/**
 * Writes safetensors files, byte for byte as the reference implementation does.
 *
 * <p>Tensors lie in the order of falling alignment, then of their names (by code point); the header
 * is padded with spaces to a multiple of eight bytes, so every tensor starts on a multiple of its
 * element's size. Bytes are streamed from where they are; {@link AtomicFile} keeps a half-written
 * file out of sight.
 */
public final class SafetensorsWriter {
  /** The metadata that marks a file of model weights for {@code transformers}. */
  public static final Map<String, String> MODEL_METADATA = Map.of("format", "pt");

  /** Types as the reference implementation orders them. */
  private static final List<DType> TYPES =
      List.of(
          DType.INT64,
          DType.FLOAT64,
          DType.FLOAT32,
          DType.INT32,
          DType.BFLOAT16,
          DType.FLOAT16,
          DType.INT16,
          DType.INT8,
          DType.UINT8,
          DType.BOOL);

  private static final Comparator<TensorEntry> ORDER =
      Comparator.comparingInt((TensorEntry tensor) -> TYPES.indexOf(tensor.dtype()))
          .thenComparing(
              TensorEntry::name,
              (a, b) ->
                  Arrays.compareUnsigned(
                      a.getBytes(StandardCharsets.UTF_8), b.getBytes(StandardCharsets.UTF_8)));

  private static final JsonMapper JSON = new JsonMapper();
  private static final int CHUNK = 1 << 20;

  private SafetensorsWriter() {}

  /** A tensor that a file will hold. */
  public record Slot(String name, DType dtype, List<Long> shape) {
    long bytes() {
      return TensorEntry.bytes(dtype, shape);
    }
  }

  /** Takes the tensors of a file in the order that was announced. */
  public interface Sink {
    /** The next tensor's bytes, all of them. */
    void add(MemorySegment data);

    /** Some of the next tensor's bytes; the parts of a tensor follow one another. */
    void addPart(MemorySegment data);
  }

  /**
   * Writes or replaces a file.
   *
   * @param tensors in any order, with different names
   * @param metadata free text, written in the order of its keys; may be empty
   * @throws HoldfastException if the disk is full or refuses, or the header would be over 100 MB
   */
  public static void write(
      Path file, Collection<TensorEntry> tensors, Map<String, String> metadata) {
    List<TensorEntry> ordered = tensors.stream().sorted(ORDER).toList();
    List<Slot> slots = ordered.stream().map(t -> new Slot(t.name(), t.dtype(), t.shape())).toList();
    ByteBuffer header = header(file, slots, metadata);
    AtomicFile.write(
        file,
        out -> {
          out.write(header);
          ByteBuffer staging = ByteBuffer.allocateDirect(CHUNK);
          for (TensorEntry tensor : ordered) {
            copy(tensor.data(), out, staging);
          }
        });
  }

  /**
   * Writes or replaces a file whose tensors are made one after the other, none of which is kept.
   *
   * @param slots what will come, in the order of the file; names differ
   * @param content hands over the tensors in that order
   * @throws HoldfastException as {@link #write}
   */
  public static void stream(
      Path file, List<Slot> slots, Map<String, String> metadata, Consumer<Sink> content) {
    ByteBuffer header = header(file, slots, metadata);
    AtomicFile.write(
        file,
        out -> {
          out.write(header);
          var stream = new Stream(slots.iterator(), out, ByteBuffer.allocateDirect(CHUNK));
          try {
            content.accept(stream);
          } catch (UncheckedIOException e) {
            throw e.getCause();
          }
          stream.requireEnd();
        });
  }

  /** Writes what it is given, and makes sure that it is what was announced. */
  private static final class Stream implements Sink {
    private final Iterator<Slot> expected;
    private final WritableByteChannel out;
    private final ByteBuffer staging;
    private Slot current;
    private long missing;

    Stream(Iterator<Slot> expected, WritableByteChannel out, ByteBuffer staging) {
      this.expected = expected;
      this.out = out;
      this.staging = staging;
    }

    @Override
    public void add(MemorySegment data) {
      if (missing == 0) {
        next();
      }
      if (data.byteSize() != missing) {
        throw new IllegalArgumentException(
            "%s: %d bytes given".formatted(current, data.byteSize()));
      }
      addPart(data);
    }

    @Override
    public void addPart(MemorySegment data) {
      if (missing == 0 && data.byteSize() > 0) {
        next();
      }
      if (data.byteSize() > missing) {
        throw new IllegalArgumentException(
            "%s: %d bytes more than announced".formatted(current, data.byteSize() - missing));
      }
      missing -= data.byteSize();
      try {
        copy(data, out, staging);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    private void next() {
      current = expected.next();
      missing = current.bytes();
    }

    void requireEnd() {
      if (missing > 0) {
        throw new IllegalStateException("%s: %d bytes never given".formatted(current, missing));
      }
      while (expected.hasNext()) {
        var slot = expected.next();
        if (slot.bytes() > 0) {
          throw new IllegalStateException("never given: " + slot);
        }
      }
    }
  }

  private static ByteBuffer header(Path file, List<Slot> ordered, Map<String, String> metadata) {
    ObjectNode header = JSON.createObjectNode();
    if (!metadata.isEmpty()) {
      new TreeMap<>(metadata).forEach(header.putObject(Header.METADATA)::put);
    }
    long offset = 0;
    Set<String> names = new HashSet<>(Set.of(Header.METADATA));
    for (Slot tensor : ordered) {
      if (!names.add(tensor.name())) {
        throw new IllegalArgumentException("two tensors are named " + tensor.name());
      }
      long end = offset + tensor.bytes();
      ObjectNode slot = header.putObject(tensor.name());
      slot.put("dtype", tensor.dtype().safetensors());
      tensor.shape().forEach(slot.putArray("shape")::add);
      slot.putArray("data_offsets").add(offset).add(end);
      offset = end;
    }
    // Through a string: written as bytes, Jackson would escape what lies outside the first plane.
    byte[] json = header.toString().getBytes(StandardCharsets.UTF_8);
    int padded = Math.ceilDiv(json.length, Header.PREFIX) * Header.PREFIX;
    if (padded > Header.MAX_BYTES) {
      throw HoldfastException.input(
          "%s: a header of %d bytes for %d tensors is over the %d that the format allows; shorten"
              + " the names or write several files",
          file, padded, ordered.size(), Header.MAX_BYTES);
    }
    ByteBuffer bytes = ByteBuffer.allocate(Header.PREFIX + padded).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(padded).put(json);
    while (bytes.hasRemaining()) {
      bytes.put((byte) ' ');
    }
    return bytes.flip();
  }

  /** Chunk by chunk: a segment may lie on the heap, or be longer than a buffer can be. */
  private static void copy(MemorySegment data, WritableByteChannel out, ByteBuffer staging)
      throws IOException {
    for (long done = 0; done < data.byteSize(); ) {
      int size = (int) Math.min(CHUNK, data.byteSize() - done);
      MemorySegment chunk = data.asSlice(done, size);
      if (data.isNative()) {
        out.write(chunk.asByteBuffer());
      } else {
        staging.clear().limit(size);
        MemorySegment.ofBuffer(staging).copyFrom(chunk);
        out.write(staging);
      }
      done += size;
    }
  }
}
