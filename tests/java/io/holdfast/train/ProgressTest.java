package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ProgressTest {
  private static final long SECOND = 1_000_000_000L;

  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private long now;

  private Progress start(long first, long total, Progress.Style style) {
    return new Progress("train", first, total, style, new PrintStream(bytes), () -> now);
  }

  @Test
  void linesComeEveryTenSecondsAndAtTheEnd() {
    try (var progress = start(0, 30, Progress.Style.LINES)) {
      for (int step = 1; step <= 30; step++) {
        now += SECOND;
        progress.at(step, "loss " + step);
      }
    }
    assertEquals(
        """
        train 10/30, 1.0/s, 20 s left, loss 10
        train 20/30, 1.0/s, 10 s left, loss 20
        train 30/30, 1.0/s, took 30 s, loss 30
        """,
        bytes.toString());
  }

  @Test
  void theRateOfAResumedRunLeavesOutWhatWasDoneBefore() {
    try (var progress = start(100, 200, Progress.Style.LINES)) {
      now += 60 * SECOND;
      progress.at(110, "");
    }
    assertEquals("train 110/200, 6.0 s each, 9:00 left\n", bytes.toString());
  }

  @Test
  void aBarRewritesItsLine() {
    try (var progress = start(0, 4, Progress.Style.BAR)) {
      now += SECOND;
      progress.at(1, "");
      progress.say("saved");
      now += SECOND / 100;
      progress.at(2, "too soon to be shown");
      now += SECOND;
      progress.at(4, "");
    }
    var text = bytes.toString();
    assertTrue(text.startsWith("\rtrain [======                  ] 1/4, 1.0/s"), text);
    assertTrue(text.contains("\r\033[Ksaved\n"), text);
    assertTrue(!text.contains("too soon"), text);
    assertTrue(text.endsWith("] 4/4, 2.0/s, took 2 s\033[K\n"), text);
  }

  @Test
  void quietSaysNothing() {
    try (var progress = start(0, 1, Progress.Style.of(true))) {
      now += 20 * SECOND;
      progress.at(1, "done");
      progress.say("saved");
    }
    assertEquals("", bytes.toString());
  }

  @ParameterizedTest
  @CsvSource({"7.2, 7 s", "185, 3:05", "7385, 2:03:05"})
  void durations(double seconds, String text) {
    assertEquals(text, Progress.duration(seconds));
  }
}
