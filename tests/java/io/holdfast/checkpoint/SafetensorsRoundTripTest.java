package io.holdfast.checkpoint;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.HoldfastException;
import io.holdfast.kernels.DType;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class SafetensorsRoundTripTest {
  @TempDir Path folder;

  /** Every safetensors file of the goldens: all were written by the Python library. */
  static List<Path> pythonFiles() throws IOException {
    try (Stream<Path> files = Files.walk(Path.of("tests/goldens"))) {
      return files.filter(file -> file.toString().endsWith(".safetensors")).sorted().toList();
    }
  }

  @ParameterizedTest
  @MethodSource("pythonFiles")
  void whatPythonWroteIsWrittenAgainByteForByte(Path original) throws IOException {
    Path copy = folder.resolve("copy.safetensors");
    try (var file = Safetensors.open(original)) {
      var tensors = new ArrayList<>(file.names().stream().map(file::get).toList());
      java.util.Collections.shuffle(tensors, new Random(1));
      SafetensorsWriter.write(copy, tensors, file.metadata());
    }
    assertEquals(-1, Files.mismatch(original, copy));
  }

  @Test
  void everyTypeAndShapeComesBack() {
    var random = new Random(7);
    var tensors = new ArrayList<TensorEntry>();
    for (DType type : DType.values()) {
      for (List<Long> shape : List.of(List.<Long>of(), List.of(0L), List.of(3L), List.of(2L, 5L))) {
        byte[] bytes = new byte[(int) TensorEntry.bytes(type, shape)];
        random.nextBytes(bytes);
        tensors.add(new TensorEntry(type + "/" + shape, type, shape, MemorySegment.ofArray(bytes)));
      }
    }
    Path path = folder.resolve("all.safetensors");
    SafetensorsWriter.write(path, tensors, Map.of("what", "é \"\n😀"));
    try (var file = Safetensors.open(path)) {
      assertEquals(tensors.size(), file.names().size());
      assertEquals(Map.of("what", "é \"\n😀"), file.metadata());
      for (TensorEntry expected : tensors) {
        TensorEntry actual = file.get(expected.name());
        assertEquals(expected.dtype(), actual.dtype());
        assertEquals(expected.shape(), actual.shape());
        assertEquals(-1, expected.data().mismatch(actual.data()));
        assertEquals(0, actual.data().address() % actual.dtype().bytes());
      }
    }
  }

  @Test
  void aTensorLongerThanAChunkOnAndOffTheHeap() {
    float[] values = new float[1_000_003];
    var random = new Random(3);
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextFloat();
    }
    var onHeap = TensorEntry.of("heap", List.of((long) values.length), values);
    Path first = folder.resolve("first.safetensors");
    Path second = folder.resolve("second.safetensors");
    SafetensorsWriter.write(first, List.of(onHeap), Map.of());
    try (var file = Safetensors.open(first)) {
      assertArrayEquals(values, file.get("heap").data().toArray(ValueLayout.JAVA_FLOAT));
      SafetensorsWriter.write(second, List.of(file.get("heap")), Map.of());
    }
    try (var file = Safetensors.open(second)) {
      assertArrayEquals(values, file.get("heap").data().toArray(ValueLayout.JAVA_FLOAT));
    }
  }

  @Test
  void anEmptyFileOfTensors() {
    Path path = folder.resolve("empty.safetensors");
    SafetensorsWriter.write(path, List.of(), Map.of());
    try (var file = Safetensors.open(path)) {
      assertTrue(file.names().isEmpty());
      assertTrue(file.metadata().isEmpty());
    }
  }

  @Test
  void tensorsAreViewsOfTheMappedFileAndReadOnly() {
    Path path = folder.resolve("one.safetensors");
    SafetensorsWriter.write(
        path, List.of(TensorEntry.of("x", List.of(2L), new float[] {1, 2})), Map.of());
    try (var file = Safetensors.open(path)) {
      MemorySegment data = file.get("x").data();
      assertTrue(data.isMapped());
      assertTrue(data.isReadOnly());
      assertEquals(data.address(), file.get("x").data().address());
    }
  }

  @Test
  void aTensorThatAnOldWriterDidNotAlignIsCopiedToAnAlignedAddress() throws IOException {
    Path path = folder.resolve("old.safetensors");
    // "b" starts 2 bytes after a multiple of 4; the reference implementation reads such files.
    byte[] data = {9, 9, 0, 0, (byte) 0x80, 0x3f};
    Malformed.write(
        path,
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
            + "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}",
        data);
    try (var file = Safetensors.open(path)) {
      MemorySegment b = file.get("b").data();
      assertEquals(0, b.address() % 4);
      assertEquals(1f, b.get(ValueLayout.JAVA_FLOAT, 0));
      assertTrue(b.isReadOnly());
      assertEquals(b.address(), file.get("b").data().address());
    }
  }

  @Test
  void namesAreSortedByCodePointAsPythonDoes() {
    // As UTF-16 the second would come first.
    List<String> names = List.of("\uFF5E", "\uD83D\uDE00");
    Path path = folder.resolve("names.safetensors");
    SafetensorsWriter.write(
        path,
        names.reversed().stream()
            .map(name -> TensorEntry.of(name, List.of(1L), new float[1]))
            .toList(),
        Map.of());
    try (var file = Safetensors.open(path)) {
      assertEquals(names, List.copyOf(file.names()));
    }
  }

  @Test
  void anUnknownTensorIsNamedWithTheNearest() {
    Path path = folder.resolve("one.safetensors");
    SafetensorsWriter.write(
        path, List.of(TensorEntry.of("norm.weight", List.of(1L), new float[1])), Map.of());
    try (var file = Safetensors.open(path)) {
      var error = assertThrows(HoldfastException.class, () -> file.get("norm.wight"));
      assertTrue(error.getMessage().contains("did you mean norm.weight?"), error.getMessage());
      var far = assertThrows(HoldfastException.class, () -> file.get("lm_head"));
      assertFalse(far.getMessage().contains("did you mean"), far.getMessage());
    }
  }

  @Test
  void useAfterCloseIsAnIllegalState() {
    Path path = folder.resolve("one.safetensors");
    SafetensorsWriter.write(
        path, List.of(TensorEntry.of("x", List.of(1L), new float[1])), Map.of());
    var file = Safetensors.open(path);
    MemorySegment data = file.get("x").data();
    file.close();
    file.close();
    assertThrows(IllegalStateException.class, () -> file.get("x"));
    assertThrows(IllegalStateException.class, () -> data.get(ValueLayout.JAVA_FLOAT, 0));
  }

  @Test
  void twoTensorsOfOneNameAreRefused() {
    var x = TensorEntry.of("x", List.of(1L), new float[1]);
    assertThrows(
        IllegalArgumentException.class,
        () -> SafetensorsWriter.write(folder.resolve("x"), List.of(x, x), Map.of()));
    assertFalse(Files.exists(folder.resolve("x")));
  }

  @Test
  void dataOfTheWrongSizeIsRefused() {
    assertThrows(
        IllegalArgumentException.class, () -> TensorEntry.of("x", List.of(2L, 2L), new float[3]));
    assertThrows(
        IllegalArgumentException.class, () -> TensorEntry.of("x", List.of(-1L), new float[1]));
  }
}
