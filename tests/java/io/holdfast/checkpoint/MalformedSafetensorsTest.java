package io.holdfast.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** One test for each way in which a file can lie, after those of the reference implementation. */
class MalformedSafetensorsTest {
  private static final String X =
      "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";

  @TempDir Path folder;
  private Path file;

  @BeforeEach
  void name() {
    file = folder.resolve("model.safetensors");
  }

  /** The file must be refused with a message that names it and says this. */
  private void refused(String what) {
    var error = assertThrows(HoldfastException.class, () -> Safetensors.open(file).close());
    assertEquals(ExitCode.INPUT, error.exitCode());
    assertTrue(error.getMessage().contains(file.toString()), error.getMessage());
    assertTrue(error.getMessage().contains(what), error.getMessage());
  }

  private void refused(String header, int dataBytes, String what) throws IOException {
    Malformed.write(file, header, new byte[dataBytes]);
    refused(what);
  }

  private static String tensor(String fields) {
    return "{\"x\":{" + fields + "}}";
  }

  private static String tensor(String dtype, String shape, String offsets) {
    return tensor("\"dtype\":%s,\"shape\":%s,\"data_offsets\":%s".formatted(dtype, shape, offsets));
  }

  @Test
  void theFileThatTheOthersVaryIsGood() throws IOException {
    Malformed.write(file, X, new byte[8]);
    try (var opened = Safetensors.open(file)) {
      assertEquals(List.of("x"), List.copyOf(opened.names()));
    }
  }

  @Test
  void missingFile() {
    refused("no such file");
  }

  @Test
  void aFolderInstead() throws IOException {
    Files.createDirectory(file);
    refused("not a file");
  }

  @Test
  void emptyFile() throws IOException {
    Files.createFile(file);
    refused("too few");
  }

  @Test
  void headerTooSmall() throws IOException {
    Files.write(file, new byte[7]);
    refused("too few");
  }

  @Test
  void headerOver100Megabytes() throws IOException {
    Files.write(
        file, Malformed.bytes(100_000_001, X.getBytes(StandardCharsets.UTF_8), new byte[8]));
    refused("the header claims 100000001 bytes");
  }

  @Test
  void headerLengthBeyond63Bits() throws IOException {
    Files.write(file, Malformed.bytes(-1, X.getBytes(StandardCharsets.UTF_8), new byte[8]));
    refused("18446744073709551615");
  }

  @Test
  void headerLongerThanTheFile() throws IOException {
    Files.write(file, Malformed.bytes(1000, X.getBytes(StandardCharsets.UTF_8), new byte[8]));
    refused("truncated");
  }

  @Test
  void headerOfNoBytes() throws IOException {
    Files.write(file, Malformed.bytes(0, new byte[0], new byte[0]));
    refused("does not start with '{'");
  }

  @Test
  void headerNotAnObject() throws IOException {
    refused("[]", 0, "does not start with '{'");
  }

  @Test
  void headerStartsWithSpace() throws IOException {
    refused(" " + X, 8, "does not start with '{'");
  }

  @Test
  void badUtf8() throws IOException {
    byte[] header = X.getBytes(StandardCharsets.UTF_8);
    header[2] = (byte) 0xff;
    Malformed.write(file, header, new byte[8]);
    refused("not valid UTF-8");
  }

  @Test
  void badJson() throws IOException {
    refused("{\"x\":", 0, "not valid JSON");
  }

  @Test
  void deepNesting() throws IOException {
    refused("{\"x\":{\"dtype\":" + "[".repeat(100_000), 0, "dtype is not a string");
    refused("{\"x\":{\"shape\":" + "[".repeat(100_000), 0, "not an integer");
  }

  @Test
  void somethingAfterTheObject() throws IOException {
    refused(X + "{}", 8, "follows the header");
  }

  @Test
  void duplicateTensor() throws IOException {
    String one = X.substring(1, X.length() - 1);
    refused("{" + one + "," + one + "}", 8, "tensor x appears twice");
  }

  @Test
  void duplicateField() throws IOException {
    refused(
        tensor("\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"),
        8,
        "tensor x: dtype appears twice");
  }

  @Test
  void duplicateMetadata() throws IOException {
    refused("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ appears twice");
    refused("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "a appears twice");
  }

  @Test
  void metadataNotAnObject() throws IOException {
    refused("{\"__metadata__\":[]}", 0, "__metadata__ is not an object");
  }

  @Test
  void metadataNotAString() throws IOException {
    refused("{\"__metadata__\":{\"a\":1}}", 0, "the value of a is not a string");
  }

  @Test
  void tensorNotAnObject() throws IOException {
    refused("{\"x\":1}", 0, "tensor x: not an object");
  }

  @Test
  void missingField() throws IOException {
    refused(tensor("\"dtype\":\"F32\",\"shape\":[2]"), 8, "must all be there");
  }

  @Test
  void unknownField() throws IOException {
    refused(tensor("\"strides\":[1]"), 8, "unknown field strides");
  }

  @Test
  void unknownDtype() throws IOException {
    refused(tensor("\"F8_E4M3\"", "[8]", "[0,8]"), 8, "tensor x: dtype F8_E4M3 is not one of");
  }

  @Test
  void dtypeNotAString() throws IOException {
    refused(tensor("32", "[2]", "[0,8]"), 8, "tensor x: dtype is not a string");
  }

  @Test
  void shapeNotAList() throws IOException {
    refused(tensor("\"F32\"", "2", "[0,8]"), 8, "tensor x: shape is not a list");
  }

  @Test
  void shapeNotOfIntegers() throws IOException {
    refused(tensor("\"F32\"", "[2.0]", "[0,8]"), 8, "not an integer");
    refused(tensor("\"F32\"", "[null]", "[0,8]"), 8, "not an integer");
  }

  @Test
  void negativeShape() throws IOException {
    refused(tensor("\"F32\"", "[-2,-1]", "[0,8]"), 8, "tensor x: shape holds a negative number");
  }

  @Test
  void shapeBeyond63Bits() throws IOException {
    refused(tensor("\"F32\"", "[9223372036854775808]", "[0,8]"), 8, "over 63 bits");
  }

  @Test
  void overflowingShape() throws IOException {
    String shape = "[4294967296,4294967296]";
    refused(tensor("\"F32\"", shape, "[0,0]"), 0, "tensor x: the size of shape");
  }

  @Test
  void offsetsNotAPair() throws IOException {
    refused(tensor("\"F32\"", "[2]", "[0,4,8]"), 8, "[begin, end]");
  }

  @Test
  void negativeOffset() throws IOException {
    refused(tensor("\"F32\"", "[2]", "[-8,0]"), 8, "data_offsets holds a negative number");
  }

  @Test
  void offsetsTurnedRound() throws IOException {
    refused(tensor("\"F32\"", "[2]", "[8,0]"), 8, "end before they begin");
  }

  @Test
  void sizeMismatch() throws IOException {
    refused(tensor("\"F32\"", "[3]", "[0,8]"), 8, "tensor x: size mismatch");
  }

  @Test
  void holeBeforeTheFirst() throws IOException {
    refused(tensor("\"F32\"", "[2]", "[4,12]"), 12, "tensor x: 4 bytes before it");
  }

  @Test
  void holeBetween() throws IOException {
    refused(
        "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            + "\"y\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}",
        12,
        "tensor y: 4 bytes before it belong to no tensor (a hole)");
  }

  @Test
  void overlap() throws IOException {
    refused(
        "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
            + "\"y\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
        12,
        "tensor y: it overlaps the tensor before it by 4 bytes");
  }

  @Test
  void twoTensorsOverTheSameBytes() throws IOException {
    refused(
        "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
            + "\"y\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        8,
        "overlaps");
  }

  @Test
  void truncatedData() throws IOException {
    refused(X, 7, "truncated");
  }

  @Test
  void bytesAfterTheLast() throws IOException {
    refused(X, 9, "1 bytes after the last tensor belong to no tensor");
  }

  /**
   * Random damage to a good file: it opens with data inside the file, or is refused in words that a
   * user understands; never anything else.
   */
  @Test
  void fuzzing() throws IOException {
    SafetensorsWriter.write(
        file,
        List.of(
            TensorEntry.of("a.weight", List.of(2L, 3L), new float[6]),
            TensorEntry.of("b.weight", List.of(), new float[1])),
        Map.of("format", "pt"));
    byte[] good = Files.readAllBytes(file);
    byte[] alphabet =
        "{}[]\",:-0123456789eE. \\u\u0000\u00ff".getBytes(StandardCharsets.ISO_8859_1);
    var random = new Random(20_240_607);
    int opened = 0;
    int refused = 0;
    for (int round = 0; round < 6000; round++) {
      byte[] bad = good.clone();
      for (int edits = 1 + random.nextInt(3); edits > 0; edits--) {
        int at = random.nextInt(bad.length);
        switch (random.nextInt(5)) {
          case 0 -> bad[at] = (byte) random.nextInt(256);
          case 1 -> bad[at] = alphabet[random.nextInt(alphabet.length)];
          case 2 -> bad[at % 8] ^= (byte) (1 << random.nextInt(8));
          case 3 -> bad = Arrays.copyOf(bad, Math.max(1, at));
          default -> {
            int from = random.nextInt(bad.length);
            int length = Math.min(random.nextInt(20), bad.length - Math.max(at, from));
            System.arraycopy(bad, from, bad, at, length);
          }
        }
      }
      Files.write(file, bad);
      try (var survivor = Safetensors.open(file)) {
        for (String name : survivor.names()) {
          survivor.get(name).data().toArray(ValueLayout.JAVA_BYTE);
        }
        opened++;
      } catch (HoldfastException e) {
        assertEquals(ExitCode.INPUT, e.exitCode());
        refused++;
      }
    }
    // Damage to tensor bytes, or to names, is not seen; most other damage must be.
    assertTrue(opened > 100 && refused > 1000, opened + " opened, " + refused + " refused");
  }
}
