package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.HoldfastException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Looking at a run does not change it. */
class DriftWatchTest {
  @TempDir Path folder;
  private WatchedRun run;

  @BeforeEach
  void model() {
    run =
        WatchedRun.in(
            folder,
            "drift.jsonl",
            List.of(
                "drift.every=1",
                "drift.rank=2",
                "drift.rows=3",
                "drift.contrast.harmful=" + folder.resolve("harmful.jsonl"),
                "drift.contrast.benign=" + folder.resolve("benign.jsonl")));
  }

  @Test
  void aWatchedRunIsThatOfOneThatIsNot() {
    run.assertLookingChangesNothing();
  }

  @Test
  void aResumedRunHasEveryLineOnce() {
    run.assertAResumedRunHasEveryLineOnce(4);
  }

  @Test
  void aFileThatIsNotThereIsNamedByItsKey() {
    var config = run.config("none", true, "drift.contrast.benign=nowhere.jsonl");
    var error = assertThrows(HoldfastException.class, () -> TinyRun.train(config));
    assertTrue(error.getMessage().startsWith("drift.contrast.benign: there is no file"));
  }
}
