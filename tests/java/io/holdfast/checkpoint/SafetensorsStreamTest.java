package io.holdfast.checkpoint;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.holdfast.checkpoint.SafetensorsWriter.Slot;
import io.holdfast.kernels.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files whose tensors come one by one. */
class SafetensorsStreamTest {
  private static final List<Slot> SLOTS =
      List.of(
          new Slot("z", DType.FLOAT32, List.of(2L)),
          new Slot("a/1", DType.FLOAT32, List.of(1L, 3L)),
          new Slot("none", DType.FLOAT32, List.of(0L, 3L)));

  @TempDir Path folder;

  private static MemorySegment of(float... values) {
    return MemorySegment.ofArray(values);
  }

  @Test
  void holdsWhatWasGivenInTheOrderAnnounced() {
    var file = folder.resolve("x.safetensors");
    SafetensorsWriter.stream(
        file,
        SLOTS,
        Map.of("layers", "1"),
        sink -> {
          sink.add(of(1, 2));
          sink.add(of(3, 4, 5));
          sink.add(of());
        });
    try (var read = Safetensors.open(file)) {
      assertEquals(List.of("z", "a/1", "none"), List.copyOf(read.names()));
      assertEquals(Map.of("layers", "1"), read.metadata());
      assertArrayEquals(
          new float[] {3, 4, 5}, read.get("a/1").data().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED));
      assertEquals(List.of(1L, 3L), read.get("a/1").shape());
    }
  }

  @Test
  void aTensorMayComeInParts() {
    var file = folder.resolve("x.safetensors");
    SafetensorsWriter.stream(
        file,
        SLOTS,
        Map.of(),
        sink -> {
          sink.addPart(of(1));
          sink.addPart(of());
          sink.addPart(of(2));
          sink.add(of(3, 4, 5));
        });
    try (var read = Safetensors.open(file)) {
      assertArrayEquals(
          new float[] {1, 2}, read.get("z").data().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED));
      assertArrayEquals(
          new float[] {3, 4, 5}, read.get("a/1").data().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED));
    }
    var other = folder.resolve("y.safetensors");
    assertThrows(
        IllegalArgumentException.class,
        () -> SafetensorsWriter.stream(other, SLOTS, Map.of(), sink -> sink.addPart(of(1, 2, 3))));
    assertThrows(
        IllegalStateException.class,
        () -> SafetensorsWriter.stream(other, SLOTS, Map.of(), sink -> sink.addPart(of(1))));
    assertFalse(Files.exists(other));
  }

  @Test
  void whatWasNotAnnouncedLeavesNoFile() {
    var file = folder.resolve("x.safetensors");
    assertThrows(
        IllegalArgumentException.class,
        () -> SafetensorsWriter.stream(file, SLOTS, Map.of(), sink -> sink.add(of(1))));
    assertThrows(
        IllegalStateException.class,
        () -> SafetensorsWriter.stream(file, SLOTS, Map.of(), sink -> sink.add(of(1, 2))));
    var twice = List.of(SLOTS.getFirst(), SLOTS.getFirst());
    assertThrows(
        IllegalArgumentException.class,
        () -> SafetensorsWriter.stream(file, twice, Map.of(), sink -> {}));
    assertFalse(Files.exists(file));
  }
}
