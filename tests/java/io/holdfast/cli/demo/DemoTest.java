package io.holdfast.cli.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.cli.Holdfast;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What studies of one's own begin with. */
class DemoTest {
  @TempDir Path folder;

  @Test
  void theBaseAloneComesWithItsData() {
    var err = new StringWriter();
    int code =
        Holdfast.run(
            new PrintWriter(new StringWriter()),
            new PrintWriter(err),
            "demo",
            "--base-only",
            "--out",
            folder.toString());
    assertEquals(ExitCode.OK.code(), code, err.toString());
    assertTrue(BaseModel.isThere(folder.resolve("base")));
    for (var data : new String[] {"anchors", "work-train", "work-test", "eval/harm_pair"}) {
      assertTrue(Files.isRegularFile(folder.resolve("data/" + data + ".jsonl")), data);
    }
    assertFalse(Files.exists(folder.resolve("summary.json")), "nothing is fine-tuned");
  }
}
