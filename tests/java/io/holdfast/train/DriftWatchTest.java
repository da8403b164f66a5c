package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFolder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Looking at a run does not change it. */
class DriftWatchTest {
  @TempDir Path folder;
  private TinyRun run;

  @BeforeEach
  void model() {
    run = TinyRun.in(folder);
    for (var kind : List.of("harmful", "benign")) {
      run.write(
          kind + ".jsonl",
          IntStream.range(0, 5)
              .mapToObj(
                  i ->
                      "{\"messages\": [{\"role\": \"user\", \"content\": \"%s %d, please\"}]}"
                          .formatted(kind, i * i))
              .toList());
    }
  }

  private List<String> settings(boolean watched) {
    var settings =
        new ArrayList<>(
            List.of(
                "data.train=[" + folder.resolve("chats.jsonl") + "]",
                "steps=4",
                "checkpoint.every=2"));
    if (watched) {
      settings.add("drift.every=1");
      settings.add("drift.rank=2");
      settings.add("drift.rows=3");
      settings.add("drift.contrast.harmful=" + folder.resolve("harmful.jsonl"));
      settings.add("drift.contrast.benign=" + folder.resolve("benign.jsonl"));
    }
    return settings;
  }

  private Path train(String name, boolean watched) {
    TinyRun.train(run.config(name, settings(watched).toArray(String[]::new)));
    return run.output(name);
  }

  @Test
  void aWatchedRunIsThatOfOneThatIsNot() {
    var plain = train("plain", false).resolve("checkpoints/step-4/model.safetensors");
    var watched = train("watched", true).resolve("checkpoints/step-4/model.safetensors");
    assertEquals(TinyRun.bits(plain), TinyRun.bits(watched));
  }

  @Test
  void aResumedRunHasEveryLineOnce() {
    var whole = Goldens.lines(train("whole", true).resolve("drift.jsonl"));
    assertEquals(4, whole.size());
    var output = train("parts", true);
    AtomicFolder.delete(output.resolve("checkpoints/step-4"));
    TinyRun.resume(run.config("parts", settings(true).toArray(String[]::new)));
    var again = Goldens.lines(output.resolve("drift.jsonl"));
    assertEquals(whole, again);
  }

  @Test
  void aFileThatIsNotThereIsNamedByItsKey() {
    var settings = settings(true);
    settings.add("drift.contrast.benign=nowhere.jsonl");
    var config = run.config("none", settings.toArray(String[]::new));
    var error = assertThrows(HoldfastException.class, () -> TinyRun.train(config));
    assertTrue(error.getMessage().startsWith("drift.contrast.benign: there is no file"));
  }
}
