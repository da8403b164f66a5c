package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.Goldens;
import io.holdfast.data.Example;
import io.holdfast.data.ExampleReader;
import io.holdfast.data.ExampleReader.LossOn;
import io.holdfast.data.RowReader;
import io.holdfast.text.ChatTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Data larger than the heap, in a process of its own. */
class StreamingTest {
  private static final int ROWS = 4000;
  private static final int TOKENS = 2000;

  @TempDir Path folder;

  /** Reads rows, into a mapped file or into memory, and goes through two shuffled epochs. */
  static final class Reading {
    public static void main(String[] arguments) {
      try (var chat = ChatTokenizer.load(Goldens.path("text/chatml"))) {
        var reader = new ExampleReader(new RowReader(chat), LossOn.ALL, TOKENS, Optional.empty());
        var files = List.of(Path.of(arguments[1]));
        var examples =
            arguments[0].equals("mapped")
                ? reader.read(files, Path.of(arguments[2]), "key").examples()
                : reader.read(files).examples();
        System.out.println(digest(examples));
      }
    }

    private static long digest(List<Example> examples) {
      var windows = new Windows(examples, 4, 2, true, true, 7);
      long digest = 0;
      for (int step = 0; step < 2 * ROWS / 8; step++) {
        for (var batch : windows.of(step)) {
          for (var example : batch) {
            digest = 31 * digest + example.ids()[1] * 1000L + example.ids().length;
          }
        }
      }
      return digest;
    }
  }

  @Test
  void rowsThatDoNotFitTheHeapAreReadShuffledAndGrouped() throws Exception {
    var rows = write();
    var kept = folder.resolve("kept");
    var small = run("-Xmx30m", "mapped", rows, kept);
    assertEquals(0, small.code());
    assertEquals(run("-Xmx1g", "memory", rows, kept), small);
    // Five bytes a token: the heap is indeed too small for them.
    assertTrue(5L * ROWS * (TOKENS - 100) > 30 << 20);
  }

  private record Ended(int code, String said) {}

  private static Ended run(String heap, String how, Path rows, Path kept) throws Exception {
    var child =
        new Child(Reading.class, how, rows.toString(), kept.toString())
            .with(heap, "-Xms16m", "-XX:ActiveProcessorCount=2", "-XX:TieredStopAtLevel=1")
            .start();
    var said = new String(child.getInputStream().readAllBytes());
    return new Ended(child.waitFor(), said);
  }

  private Path write() throws IOException {
    var file = folder.resolve("rows.jsonl");
    try (var out = Files.newBufferedWriter(file)) {
      for (int i = 0; i < ROWS; i++) {
        out.write("{\"tokens\": [1, " + i);
        out.write((", " + i % 7).repeat(TOKENS - 2 - i % 100));
        out.write("]}\n");
      }
    }
    return file;
  }
}
