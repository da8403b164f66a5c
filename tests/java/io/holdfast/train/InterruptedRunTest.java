package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.cli.Holdfast;
import io.holdfast.model.Decoder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Ctrl-C on a real process: it saves, says how it ended, and the run can go on. */
class InterruptedRunTest {
  @TempDir Path folder;

  @Test
  void anInterruptedRunIsSavedAndGoesOn() throws Exception {
    CtrlC.assumeHeard();
    var tiny = TinyRun.in(folder);
    var run = tiny.output("run");
    var endless = process(tiny, "steps=1000000", "checkpoint.every=0");
    try {
      awaitSteps(endless, run.resolve("metrics.jsonl"), 3);
      assertEquals(0, new ProcessBuilder("kill", "-INT", "" + endless.pid()).start().waitFor());
      assertTrue(endless.waitFor(60, TimeUnit.SECONDS), "it does not stop");
    } finally {
      endless.destroyForcibly();
    }
    assertEquals(ExitCode.INTERRUPTED.code(), endless.exitValue());
    var saved = new Checkpoints(run, 3).latest().orElseThrow();
    long steps = Checkpoints.state(saved).get("step").asLong();
    assertEquals(steps, TinyRun.metrics(run).size(), "it is the last step that is saved");
    Decoder.load(saved).close();

    var rest = process(tiny, "steps=" + (steps + 2), "checkpoint.every=0", "--resume");
    assertTrue(rest.waitFor(60, TimeUnit.SECONDS), "it does not end");
    assertEquals(0, rest.exitValue());
    assertEquals(steps + 2, TinyRun.metrics(run).size());
    assertEquals(
        List.of(run.resolve("checkpoints/step-" + (steps + 2))),
        new Checkpoints(run, 3).all(),
        "what was only there to go on from is gone");
  }

  private static Process process(TinyRun tiny, String steps, String every, String... more)
      throws IOException {
    var arguments = new java.util.ArrayList<>(java.util.List.of("train", tiny.yaml().toString()));
    arguments.addAll(java.util.List.of("--quiet", "--set", steps, "--set", every));
    arguments.addAll(java.util.Arrays.asList(more));
    return new Child(Holdfast.class, arguments.toArray(String[]::new)).start();
  }

  private static void awaitSteps(Process process, Path metrics, int steps) throws Exception {
    while (!Files.exists(metrics) || Files.readAllLines(metrics).size() < steps) {
      assertTrue(process.isAlive(), "it ended before it was interrupted");
      TimeUnit.MILLISECONDS.sleep(50);
    }
  }
}
