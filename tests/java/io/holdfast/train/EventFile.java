package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads event files as their format says, checking every CRC; shares nothing with the writer. */
final class EventFile {
  /**
   * One event.
   *
   * @param version of the file, in its first event, else empty
   * @param starts whether a session starts here
   * @param scalars by name
   */
  record Event(
      double wallTime, long step, String version, boolean starts, Map<String, Float> scalars) {}

  private EventFile() {}

  /** The event files of a run, in the order in which TensorBoard reads them. */
  static List<Path> of(Path run) {
    try (var files = Files.list(run.resolve("tensorboard"))) {
      return files.sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static List<Event> read(Path file) {
    try {
      var bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
      var events = new ArrayList<Event>();
      while (bytes.hasRemaining()) {
        var length = take(bytes, 8);
        assertEquals(masked(length), bytes.getInt(), "CRC of a length");
        var event = take(bytes, (int) length.getLong(0));
        assertEquals(masked(event), bytes.getInt(), "CRC of an event");
        events.add(event(event));
      }
      return events;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static ByteBuffer take(ByteBuffer from, int count) {
    var part = from.slice(from.position(), count).order(ByteOrder.LITTLE_ENDIAN);
    from.position(from.position() + count);
    return part;
  }

  /** CRC-32C bit by bit (reflected polynomial 0x82F63B78), then masked as TFRecords have it. */
  private static int masked(ByteBuffer bytes) {
    int crc = -1;
    for (int i = 0; i < bytes.limit(); i++) {
      crc ^= bytes.get(i) & 0xFF;
      for (int bit = 0; bit < 8; bit++) {
        crc = (crc & 1) == 0 ? crc >>> 1 : crc >>> 1 ^ 0x82F63B78;
      }
    }
    crc = ~crc;
    return (crc >>> 15 | crc << 17) + 0xa282ead8;
  }

  private static Event event(ByteBuffer bytes) {
    double wallTime = 0;
    long step = 0;
    var version = "";
    boolean starts = false;
    var scalars = new LinkedHashMap<String, Float>();
    while (bytes.hasRemaining()) {
      switch ((int) varint(bytes)) {
        case 0x09 -> wallTime = bytes.getDouble();
        case 0x10 -> step = varint(bytes);
        case 0x1A -> version = text(bytes);
        case 0x2A -> summary(take(bytes, (int) varint(bytes)), scalars);
        case 0x3A -> {
          assertEquals(2, varint(bytes));
          assertEquals(0x0801, Short.reverseBytes(bytes.getShort()), "status START");
          starts = true;
        }
        default -> throw new AssertionError("unknown field");
      }
    }
    return new Event(wallTime, step, version, starts, scalars);
  }

  private static void summary(ByteBuffer bytes, Map<String, Float> scalars) {
    while (bytes.hasRemaining()) {
      assertEquals(0x0A, varint(bytes), "a value");
      var value = take(bytes, (int) varint(bytes));
      assertEquals(0x0A, varint(value), "its tag");
      var name = text(value);
      assertEquals(0x15, varint(value), "its number");
      assertTrue(scalars.put(name, value.getFloat()) == null, name + " twice");
    }
  }

  private static String text(ByteBuffer bytes) {
    var content = new byte[(int) varint(bytes)];
    bytes.get(content);
    return new String(content, StandardCharsets.UTF_8);
  }

  private static long varint(ByteBuffer bytes) {
    long value = 0;
    for (int shift = 0; ; shift += 7) {
      byte part = bytes.get();
      value |= (long) (part & 0x7F) << shift;
      if (part >= 0) {
        return value;
      }
    }
  }
}
