package io.holdfast.train;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.OptionalLong;
import java.util.zip.CRC32C;

/**
 * Scalars in an event file that TensorBoard reads: protobuf messages ({@code event.proto} and
 * {@code summary.proto} of TensorFlow), of which only the few fields that scalars need are written,
 * in the frames of a TFRecord:
 *
 * <pre>
 * uint64 length | uint32 masked CRC of length | bytes[length] | uint32 masked CRC of the bytes
 * </pre>
 *
 * little-endian, the CRC being CRC-32C rotated right by 15 bits plus {@code 0xa282ead8}. Each
 * process of a run writes a file of its own; a resumed one begins with a {@code SessionLog} start,
 * at which TensorBoard forgets the steps that the earlier process did after the checkpoint.
 */
final class TensorBoard {
  private static final String VERSION = "brain.Event:2";
  private static final int MASK = 0xa282ead8;

  /** Protobuf tags: field number times 8, plus the wire type. */
  private static final class Tag {
    static final int WALL_TIME = 1 << 3 | 1;
    static final int STEP = 2 << 3;
    static final int FILE_VERSION = 3 << 3 | 2;
    static final int SUMMARY = 5 << 3 | 2;
    static final int SESSION_LOG = 7 << 3 | 2;
    static final int SESSION_STATUS = 1 << 3;
    static final int VALUE = 1 << 3 | 2;
    static final int VALUE_NAME = 1 << 3 | 2;
    static final int VALUE_SIMPLE = 2 << 3 | 5;
  }

  private final Path file;

  private TensorBoard(Path file) {
    this.file = file;
  }

  /**
   * Begins a file.
   *
   * @param folder made if it is not there
   * @param resumed the step of the checkpoint from which the run goes on, if it does
   */
  static TensorBoard open(Path folder, OptionalLong resumed) {
    long now = System.currentTimeMillis();
    // TensorBoard reads the files of a folder in the order of their names.
    var events =
        new TensorBoard(
            folder.resolve("events.out.tfevents.%013d.holdfast.%d".formatted(now, pid())));
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw events.failure(e);
    }
    events.write(new Message().text(Tag.FILE_VERSION, VERSION), 0);
    if (resumed.isPresent()) {
      var start = new Message().varint(Tag.SESSION_STATUS, 1);
      events.write(new Message().message(Tag.SESSION_LOG, start), resumed.getAsLong() + 1);
    }
    return events;
  }

  private static long pid() {
    return ProcessHandle.current().pid();
  }

  /** Writes the numbers of a line, each under {@code group/name}; {@code step} is not one. */
  void scalars(long step, String group, ObjectNode line) {
    var summary = new Message();
    for (var field : line.properties()) {
      if (field.getValue().isNumber() && !field.getKey().equals("step")) {
        summary.message(
            Tag.VALUE,
            new Message()
                .text(Tag.VALUE_NAME, group + "/" + field.getKey())
                .float32(Tag.VALUE_SIMPLE, field.getValue().floatValue()));
      }
    }
    write(new Message().message(Tag.SUMMARY, summary), step);
  }

  private void write(Message what, long step) {
    var event =
        new Message()
            .float64(Tag.WALL_TIME, System.currentTimeMillis() / 1e3)
            .varint(Tag.STEP, step)
            .append(what)
            .bytes();
    var length = bytes(Long.BYTES).putLong(event.length).array();
    var record =
        bytes(Long.BYTES + Integer.BYTES + event.length + Integer.BYTES)
            .put(length)
            .putInt(masked(length))
            .put(event)
            .putInt(masked(event));
    try {
      Files.write(file, record.array(), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    } catch (IOException e) {
      throw failure(e);
    }
  }

  private HoldfastException failure(IOException e) {
    return HoldfastException.input(
            "%s: cannot be written (%s); check the permissions and the space left on the disk",
            file, e.getMessage())
        .causedBy(e);
  }

  private static int masked(byte[] bytes) {
    var crc = new CRC32C();
    crc.update(bytes);
    return Integer.rotateRight((int) crc.getValue(), 15) + MASK;
  }

  private static ByteBuffer bytes(int count) {
    return ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** A protobuf message on its way to bytes. */
  private static final class Message {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    Message varint(int tag, long value) {
      return raw(tag).raw(value);
    }

    Message float64(int tag, double value) {
      out.writeBytes(raw(tag).fixed(Double.BYTES).putDouble(value).array());
      return this;
    }

    Message float32(int tag, float value) {
      out.writeBytes(raw(tag).fixed(Float.BYTES).putFloat(value).array());
      return this;
    }

    Message text(int tag, String text) {
      return lengthDelimited(tag, text.getBytes(StandardCharsets.UTF_8));
    }

    Message message(int tag, Message inner) {
      return lengthDelimited(tag, inner.bytes());
    }

    /** The fields of another message after those of this one. */
    Message append(Message other) {
      out.writeBytes(other.bytes());
      return this;
    }

    byte[] bytes() {
      return out.toByteArray();
    }

    private Message lengthDelimited(int tag, byte[] content) {
      raw(tag).raw(content.length);
      out.writeBytes(content);
      return this;
    }

    /** Seven bits a byte, the lowest first, the high bit set in all but the last. */
    private Message raw(long value) {
      long rest = value;
      for (; (rest & ~0x7FL) != 0; rest >>>= 7) {
        out.write((int) (rest & 0x7F | 0x80));
      }
      out.write((int) rest);
      return this;
    }

    private ByteBuffer fixed(int count) {
      return TensorBoard.bytes(count);
    }
  }
}
