package io.holdfast.data;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.AbstractList;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.RandomAccess;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * Examples in a file that is mapped into memory, so that they may be more than memory holds and any
 * of them is at hand. The system keeps what is used of it; the heap holds none of it.
 *
 * <p>The file, little-endian: records, then the offset of each record, then JSON of what was read
 * ({@code key, files, rows, cut, dropped}), then the offset of the offsets, the number of records,
 * the length of the JSON and the file's mark. A record is
 *
 * <pre>
 * int32 tokens | int32 instruction end | int32 prompt end | float32 risk
 * int32 file | int64 line | int32 bytes of the id, or -1 where its place is its id
 * int32 ids[tokens] | uint8 targets[(tokens + 7) / 8], the lowest bit first | id in UTF-8
 * </pre>
 */
public final class Examples extends AbstractList<Example> implements RandomAccess {
  static final byte[] MARK = "HOLDROW1".getBytes(StandardCharsets.US_ASCII);
  static final int HEAD = 32;
  static final int TAIL = 24;

  private static final ObjectMapper JSON = new ObjectMapper();
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final MemorySegment bytes;
  private final long index;
  private final int size;
  private final List<Path> files;
  private final Counts counts;

  private Examples(MemorySegment bytes, long index, int size, JsonNode about) {
    this.bytes = bytes;
    this.index = index;
    this.size = size;
    var names = new ArrayList<Path>();
    about.get("files").forEach(name -> names.add(Path.of(name.textValue())));
    this.files = List.copyOf(names);
    this.counts =
        new Counts(
            about.get("rows").longValue(),
            about.get("cut").intValue(),
            about.get("dropped").intValue());
  }

  /**
   * How many rows were read.
   *
   * @param rows in all
   * @param cut of them, to the greatest length
   * @param dropped of those, because nothing was left to learn
   */
  public record Counts(long rows, int cut, int dropped) {}

  /**
   * The examples of a file, which is made first if it is not there or was made of something else.
   *
   * @param key names everything the examples depend on
   * @param source hands examples over, in order, and says how many rows they were
   */
  public static Examples of(Path file, String key, Function<ExampleReader.Sink, Counts> source) {
    var kept = open(file, key);
    if (kept.isPresent()) {
      return kept.get();
    }
    try {
      Files.createDirectories(file.toAbsolutePath().getParent());
    } catch (IOException e) {
      throw HoldfastException.input(
              "%s: the folder cannot be made (%s); check the permissions",
              file.toAbsolutePath().getParent(), e.getMessage())
          .causedBy(e);
    }
    AtomicFile.write(file, out -> new ExamplesWriter(out, key).write(source));
    return open(file, key).orElseThrow();
  }

  /** Maps a file that holds the examples of this key. */
  private static Optional<Examples> open(Path file, String key) {
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    try (var channel = FileChannel.open(file)) {
      long length = channel.size();
      // Unmapped with the last example that is read from it.
      var bytes = channel.map(MapMode.READ_ONLY, 0, length, Arena.ofAuto());
      if (length < TAIL
          || bytes.asSlice(length - MARK.length).mismatch(MemorySegment.ofArray(MARK)) >= 0) {
        return Optional.empty();
      }
      long index = bytes.get(LONG, length - TAIL);
      int size = bytes.get(INT, length - TAIL + 8);
      int described = bytes.get(INT, length - TAIL + 12);
      var about =
          JSON.readTree(
              bytes.asSlice(length - TAIL - described, described).toArray(ValueLayout.JAVA_BYTE));
      return about.path("key").asText().equals(key)
          ? Optional.of(new Examples(bytes, index, size, about))
          : Optional.empty();
    } catch (IOException | IndexOutOfBoundsException e) {
      throw HoldfastException.input(
              "%s: cannot be read (%s); remove it, it will be made again", file, e.getMessage())
          .causedBy(e);
    }
  }

  /** Tokens of each example, without reading those that are mapped. */
  public static int[] lengths(List<Example> examples) {
    return examples instanceof Examples mapped
        ? IntStream.range(0, mapped.size).map(mapped::length).toArray()
        : examples.stream().mapToInt(Example::length).toArray();
  }

  /** How many rows the examples were made of. */
  public Counts counts() {
    return counts;
  }

  @Override
  public int size() {
    return size;
  }

  /** Tokens of an example. */
  public int length(int i) {
    return bytes.get(INT, offset(i));
  }

  @Override
  public Example get(int i) {
    long at = offset(i);
    int length = bytes.get(INT, at);
    var place = new Place(files.get(bytes.get(INT, at + 16)), bytes.get(LONG, at + 20));
    long tokens = at + HEAD;
    long targets = tokens + 4L * length;
    var ids = new int[length];
    MemorySegment.copy(bytes, INT, tokens, ids, 0, length);
    var target = new boolean[length];
    for (int t = 0; t < length; t++) {
      target[t] = (bytes.get(ValueLayout.JAVA_BYTE, targets + (t >> 3)) >> (t & 7) & 1) != 0;
    }
    int named = bytes.get(INT, at + 28);
    return new Example(
        named < 0 ? place.toString() : text(targets + (length + 7) / 8, named),
        ids,
        target,
        bytes.get(INT, at + 4),
        bytes.get(INT, at + 8),
        bytes.get(FLOAT, at + 12),
        place);
  }

  private long offset(int i) {
    return bytes.get(LONG, index + 8L * java.util.Objects.checkIndex(i, size));
  }

  private String text(long at, int length) {
    return new String(
        bytes.asSlice(at, length).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
  }
}
