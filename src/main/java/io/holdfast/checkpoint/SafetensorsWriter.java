package io.holdfast.checkpoint;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.kernels.DType;
import java.io.IOException;
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
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

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
    ByteBuffer header = header(file, ordered, metadata);
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

  private static ByteBuffer header(
      Path file, List<TensorEntry> ordered, Map<String, String> metadata) {
    ObjectNode header = JSON.createObjectNode();
    if (!metadata.isEmpty()) {
      new TreeMap<>(metadata).forEach(header.putObject(Header.METADATA)::put);
    }
    long offset = 0;
    Set<String> names = new HashSet<>(Set.of(Header.METADATA));
    for (TensorEntry tensor : ordered) {
      if (!names.add(tensor.name())) {
        throw new IllegalArgumentException("two tensors are named " + tensor.name());
      }
      long end = offset + tensor.data().byteSize();
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
