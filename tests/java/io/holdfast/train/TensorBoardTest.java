package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.Goldens;
import java.nio.file.Path;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Event files against a reader of their own; {@code tests/python} reads them by TensorBoard's. */
class TensorBoardTest {
  @TempDir Path folder;

  @Test
  void everyNumberOfEveryStepIsThere() {
    var tiny = TinyRun.in(folder);
    TinyRun.train(tiny.config("run"));
    var files = EventFile.of(tiny.output("run"));
    assertEquals(1, files.size());
    var events = EventFile.read(files.getFirst());
    assertEquals("brain.Event:2", events.getFirst().version());
    var lines = Goldens.lines(tiny.output("run").resolve("metrics.jsonl"));
    assertEquals(lines.size() + 1, events.size());
    for (int i = 0; i < lines.size(); i++) {
      var event = events.get(i + 1);
      assertEquals(lines.get(i).get("step").asLong(), event.step());
      assertEquals(lines.get(i).size() - 1, event.scalars().size());
      for (var name : event.scalars().keySet()) {
        var expected = lines.get(i).get(name.substring("train/".length()));
        assertEquals(expected.floatValue(), event.scalars().get(name), name);
      }
      assertTrue(event.wallTime() >= events.get(i).wallTime());
    }
  }

  @Test
  void aResumedRunStartsASessionAtItsFirstStep() {
    var tiny = TinyRun.in(folder);
    TinyRun.train(tiny.config("run", "steps=3", "schedule.decay=constant"));
    TinyRun.resume(tiny.config("run", "steps=5", "schedule.decay=constant"));
    var files = EventFile.of(tiny.output("run"));
    assertEquals(2, files.size());
    assertFalse(EventFile.read(files.get(0)).stream().anyMatch(EventFile.Event::starts));
    var events = EventFile.read(files.get(1));
    assertTrue(events.get(1).starts());
    assertEquals(4, events.get(1).step());
    assertEquals(4, events.get(2).step());
    assertEquals(5, events.getLast().step());
  }

  /** Steps beyond 127 and lengths beyond 127 bytes take more than one byte. */
  @Test
  void longNumbersTakeSeveralBytes() throws Exception {
    var line = new ObjectMapper().createObjectNode();
    for (int i = 0; i < 300; i++) {
      line.put("a name of some length " + i, i / 7.0);
    }
    line.put("text", "not a number");
    var board = TensorBoard.open(folder, OptionalLong.empty());
    board.scalars(1L << 40, "x", line);
    try (var files = java.nio.file.Files.list(folder)) {
      var event = EventFile.read(files.findFirst().orElseThrow()).getLast();
      assertEquals(1L << 40, event.step());
      assertEquals(300, event.scalars().size());
      assertEquals((float) (299 / 7.0), event.scalars().get("x/a name of some length 299"));
    }
  }
}
