package io.holdfast.checkpoint;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import io.holdfast.HoldfastException;
import io.holdfast.kernels.DType;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;

/**
 * The header of a safetensors file: eight bytes of length N (unsigned, little-endian), then N bytes
 * of JSON, then the tensors' bytes without a hole.
 *
 * <p>As strict as the reference implementation ({@code safetensors/src/tensor.rs}), and stricter
 * where that is silent: duplicate keys and unknown fields are refused too.
 *
 * @param metadata the free text under {@code __metadata__}
 * @param slots where each tensor lies, in the order of the bytes
 * @param dataStart offset in the file of the first tensor's first byte
 */
record Header(Map<String, String> metadata, SequencedMap<String, Slot> slots, long dataStart) {
  /** Largest header that the reference implementation reads, in bytes. */
  static final long MAX_BYTES = 100_000_000;

  /** Bytes of the length that precedes the header; the header itself is padded to a multiple. */
  static final int PREFIX = 8;

  static final String METADATA = "__metadata__";

  private static final ValueLayout.OfLong LENGTH =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  // Names are used once: interning them would only cost, and a hostile header could fill the table.
  private static final JsonFactory JSON =
      JsonFactory.builder()
          .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
          .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
          .build();

  /** One tensor; {@code begin} and {@code end} count bytes from {@link Header#dataStart}. */
  record Slot(DType dtype, List<Long> shape, long begin, long end) {}

  /**
   * Reads and validates.
   *
   * @param file for messages
   * @param bytes the whole file
   * @throws HoldfastException if anything is not as the format wants it
   */
  static Header read(Path file, MemorySegment bytes) {
    return new Parser(file, bytes).parse();
  }

  private static final class Parser {
    private final Path file;
    private final MemorySegment bytes;

    Parser(Path file, MemorySegment bytes) {
      this.file = file;
      this.bytes = bytes;
    }

    Header parse() {
      String text = text();
      Map<String, String> metadata = new LinkedHashMap<>();
      SequencedMap<String, Slot> slots = new LinkedHashMap<>();
      try (JsonParser json = JSON.createParser(text)) {
        json.nextToken();
        boolean metadataSeen = false;
        while (json.nextToken() != JsonToken.END_OBJECT) {
          String name = json.currentName();
          json.nextToken();
          if (!name.equals(METADATA)) {
            if (slots.put(name, slot(name, json)) != null) {
              throw bad("tensor %s appears twice in the header", name);
            }
          } else if (metadataSeen) {
            throw bad("%s appears twice in the header", METADATA);
          } else {
            metadataSeen = true;
            readMetadata(json, metadata);
          }
        }
        if (json.nextToken() != null) {
          throw bad("something follows the header's JSON object");
        }
      } catch (JsonProcessingException e) {
        throw bad("the header is not valid JSON: %s", e.getOriginalMessage()).causedBy(e);
      } catch (IOException e) {
        throw new IllegalStateException("reading from a string", e);
      }
      long dataStart = PREFIX + headerBytes();
      return new Header(metadata, contiguous(slots, bytes.byteSize() - dataStart), dataStart);
    }

    private long headerBytes() {
      return bytes.get(LENGTH, 0);
    }

    private String text() {
      long size = bytes.byteSize();
      if (size < PREFIX) {
        throw bad("%d bytes are too few for a safetensors file", size);
      }
      long length = headerBytes();
      if (length < 0 || length > MAX_BYTES) {
        throw bad(
            "the header claims %s bytes, the format allows %d",
            Long.toUnsignedString(length), MAX_BYTES);
      }
      if (length > size - PREFIX) {
        throw bad(
            "truncated: the header claims %d bytes, the file holds %d", length, size - PREFIX);
      }
      byte[] raw = bytes.asSlice(PREFIX, length).toArray(ValueLayout.JAVA_BYTE);
      if (raw.length == 0 || raw[0] != '{') {
        throw bad("the header does not start with '{'");
      }
      try {
        return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(raw)).toString();
      } catch (CharacterCodingException e) {
        throw bad("the header is not valid UTF-8").causedBy(e);
      }
    }

    private void readMetadata(JsonParser json, Map<String, String> metadata) throws IOException {
      if (json.currentToken() != JsonToken.START_OBJECT) {
        throw bad("%s is not an object", METADATA);
      }
      while (json.nextToken() != JsonToken.END_OBJECT) {
        String key = json.currentName();
        if (json.nextToken() != JsonToken.VALUE_STRING) {
          throw bad("%s: the value of %s is not a string", METADATA, key);
        }
        if (metadata.put(key, json.getText()) != null) {
          throw bad("%s: %s appears twice", METADATA, key);
        }
      }
    }

    private Slot slot(String name, JsonParser json) throws IOException {
      if (json.currentToken() != JsonToken.START_OBJECT) {
        throw bad("tensor %s: not an object", name);
      }
      DType dtype = null;
      List<Long> shape = null;
      List<Long> offsets = null;
      while (json.nextToken() != JsonToken.END_OBJECT) {
        String field = json.currentName();
        json.nextToken();
        boolean twice =
            switch (field) {
              case "dtype" -> dtype != null;
              case "shape" -> shape != null;
              case "data_offsets" -> offsets != null;
              default -> throw bad("tensor %s: unknown field %s", name, field);
            };
        if (twice) {
          throw bad("tensor %s: %s appears twice", name, field);
        }
        switch (field) {
          case "dtype" -> dtype = dtype(name, json);
          case "shape" -> shape = counts(name, field, json);
          default -> offsets = counts(name, field, json);
        }
      }
      if (dtype == null || shape == null || offsets == null) {
        throw bad("tensor %s: dtype, shape and data_offsets must all be there", name);
      }
      if (offsets.size() != 2) {
        throw bad("tensor %s: data_offsets must be [begin, end]", name);
      }
      Slot slot = new Slot(dtype, shape, offsets.get(0), offsets.get(1));
      if (slot.end < slot.begin) {
        throw bad("tensor %s: data_offsets end before they begin", name);
      }
      long size;
      try {
        size = TensorEntry.bytes(dtype, shape);
      } catch (ArithmeticException e) {
        throw bad("tensor %s: the size of shape %s overflows", name, shape).causedBy(e);
      }
      if (slot.end - slot.begin != size) {
        throw bad(
            "tensor %s: size mismatch, %s %s takes %d bytes, data_offsets give it %d",
            name, dtype.safetensors(), shape, size, slot.end - slot.begin);
      }
      return slot;
    }

    private DType dtype(String name, JsonParser json) throws IOException {
      if (json.currentToken() != JsonToken.VALUE_STRING) {
        throw bad("tensor %s: dtype is not a string", name);
      }
      String text = json.getText();
      return DType.ofSafetensors(text)
          .orElseThrow(
              () ->
                  HoldfastException.input(
                      "%s: tensor %s: dtype %s is not one of %s; convert the checkpoint to one of"
                          + " these",
                      file,
                      name,
                      text,
                      String.join(
                          ", ", Arrays.stream(DType.values()).map(DType::safetensors).toList())));
    }

    /** A list of non-negative integers. */
    private List<Long> counts(String name, String field, JsonParser json) throws IOException {
      if (json.currentToken() != JsonToken.START_ARRAY) {
        throw bad("tensor %s: %s is not a list", name, field);
      }
      List<Long> counts = new ArrayList<>();
      while (json.nextToken() != JsonToken.END_ARRAY) {
        if (json.currentToken() != JsonToken.VALUE_NUMBER_INT) {
          throw bad("tensor %s: %s holds something that is not an integer", name, field);
        }
        if (json.getText().startsWith("-")) {
          throw bad("tensor %s: %s holds a negative number", name, field);
        }
        if (json.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
          throw bad("tensor %s: %s holds a number over 63 bits", name, field);
        }
        counts.add(json.getLongValue());
      }
      return counts;
    }

    /** The slots in the order of their bytes, which must follow each other and fill the file. */
    private SequencedMap<String, Slot> contiguous(
        SequencedMap<String, Slot> slots, long dataBytes) {
      SequencedMap<String, Slot> ordered = new LinkedHashMap<>();
      slots.entrySet().stream()
          .sorted(
              Map.Entry.comparingByValue(
                  Comparator.comparingLong(Slot::begin).thenComparingLong(Slot::end)))
          .forEach(slot -> ordered.put(slot.getKey(), slot.getValue()));
      long reached = 0;
      for (var entry : ordered.entrySet()) {
        Slot slot = entry.getValue();
        if (slot.begin != reached) {
          throw bad(
              slot.begin > reached
                  ? "tensor %s: %d bytes before it belong to no tensor (a hole)"
                  : "tensor %s: it overlaps the tensor before it by %d bytes",
              entry.getKey(),
              Math.abs(slot.begin - reached));
        }
        reached = slot.end;
      }
      if (reached > dataBytes) {
        throw bad(
            "truncated: the header describes %d bytes of tensors, the file holds %d",
            reached, dataBytes);
      }
      if (reached < dataBytes) {
        throw bad("%d bytes after the last tensor belong to no tensor", dataBytes - reached);
      }
      return ordered;
    }

    private HoldfastException bad(String format, Object... arguments) {
      return HoldfastException.input(
          "%s: %s; the file is damaged, copy or download it again",
          file, format.formatted(arguments));
    }
  }
}
