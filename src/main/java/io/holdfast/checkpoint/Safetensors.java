package io.holdfast.checkpoint;

import io.holdfast.HoldfastException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collections;
import java.util.Map;
import java.util.SequencedSet;
import java.util.concurrent.ConcurrentHashMap;

/**
 * A safetensors file, memory-mapped read-only: opening reads the header, a tensor's bytes come from
 * the page cache when they are touched.
 *
 * <p>The tensors' memory belongs to this object. After {@link #close()} every access, to the object
 * or to a segment taken from it, throws {@link IllegalStateException}; native code that was handed
 * the address is not protected, so keep the object open as long as such code runs. Writing to the
 * memory is not possible: copy first. Safe for use by many threads.
 */
public final class Safetensors implements AutoCloseable {
  private final Path file;
  private final Arena arena;
  private final MemorySegment bytes;
  private final Header header;
  private final Map<String, TensorEntry> entries = new ConcurrentHashMap<>();

  private Safetensors(Path file, Arena arena, MemorySegment bytes) {
    this.file = file;
    this.arena = arena;
    this.bytes = bytes;
    this.header = Header.read(file, bytes);
  }

  /**
   * Maps the file and validates its header.
   *
   * @throws HoldfastException if the file is missing or malformed
   */
  public static Safetensors open(Path file) {
    if (!Files.isRegularFile(file)) {
      throw HoldfastException.input(
          "%s: %s; name an existing .safetensors file",
          file, Files.exists(file) ? "not a file" : "no such file");
    }
    Arena arena = Arena.ofShared();
    boolean opened = false;
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      MemorySegment bytes = channel.map(MapMode.READ_ONLY, 0, channel.size(), arena);
      Safetensors safetensors = new Safetensors(file, arena, bytes);
      opened = true;
      return safetensors;
    } catch (IOException e) {
      throw HoldfastException.unreadable(file, e);
    } finally {
      if (!opened) {
        arena.close();
      }
    }
  }

  /** The file. */
  public Path file() {
    return file;
  }

  /** What the writer noted, such as {@code format=pt}; empty if nothing. */
  public Map<String, String> metadata() {
    return Collections.unmodifiableMap(header.metadata());
  }

  /** The tensors' names, in the order of their bytes. */
  public SequencedSet<String> names() {
    return Collections.unmodifiableSequencedMap(header.slots()).sequencedKeySet();
  }

  /**
   * A tensor over the mapped file. Its address is a multiple of its element's size: where an old
   * writer did not align the bytes, this one tensor is copied, once.
   *
   * @throws HoldfastException if there is no such tensor
   * @throws IllegalStateException after {@link #close()}
   */
  public TensorEntry get(String name) {
    if (!arena.scope().isAlive()) {
      throw new IllegalStateException(file + ": used after it was closed");
    }
    return entries.computeIfAbsent(name, this::entry);
  }

  private TensorEntry entry(String name) {
    Header.Slot slot = header.slots().get(name);
    if (slot == null) {
      throw HoldfastException.input(
          "%s: there is no tensor %s; it holds %d tensors%s",
          file, name, header.slots().size(), Names.nearest(name, header.slots().keySet()));
    }
    long size = slot.end() - slot.begin();
    MemorySegment data = bytes.asSlice(header.dataStart() + slot.begin(), size);
    int alignment = slot.dtype().bytes();
    if (data.address() % alignment != 0) {
      data = arena.allocate(size, alignment).copyFrom(data).asReadOnly();
    }
    return new TensorEntry(name, slot.dtype(), slot.shape(), data);
  }

  /** Unmaps the file; closing twice is allowed. */
  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
