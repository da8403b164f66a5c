package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels.KlDirection;
import io.holdfast.torch.Scope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Native memory of many steps, in a process whose heap is resident from the start, so that what
 * grows is native. {@code -Dholdfast.leak.steps=2000} makes the test as long as the promise is.
 */
class LeakTest {
  private static final int WARM = 150;
  private static final int STEPS = Integer.getInteger("holdfast.leak.steps", 300);

  @TempDir Path folder;

  /** Does steps, and prints the resident memory in kB after the warm-up and at the end. */
  static final class Stepping {
    public static void main(String[] arguments) throws IOException {
      var kernels = KernelBackends.select(Optional.empty());
      int steps = Integer.parseInt(arguments[2]);
      var trace = Trace.of(arguments[0]);
      var folder = Path.of(arguments[1]);
      try (var window =
          Boolean.parseBoolean(arguments[3])
              ? TracedWindow.recomputed(trace, kernels, folder)
              : TracedWindow.of(trace, KlDirection.FORWARD, kernels, folder)) {
        for (int step = 0; step < WARM; step++) {
          window.objective();
        }
        System.gc();
        System.out.println(resident());
        for (int step = 0; step < steps; step++) {
          window.objective();
        }
        System.gc();
        System.out.println(resident());
      }
      System.out.println(Scope.live());
    }

    private static String resident() throws IOException {
      try (var lines = Files.lines(Path.of("/proc/self/status"))) {
        return lines
            .filter(line -> line.startsWith("VmRSS:"))
            .map(line -> line.replaceAll("\\D", ""))
            .findFirst()
            .orElseThrow();
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"both, false", "kl-lora, false", "both, true"})
  void residentMemoryIsFlat(String trace, String recomputed) throws Exception {
    var child =
        new Child(Stepping.class, trace, folder.toString(), Integer.toString(STEPS), recomputed)
            .with("-Xms96m", "-Xmx96m", "-XX:+AlwaysPreTouch", "-XX:TieredStopAtLevel=1")
            .start();
    var printed = new String(child.getInputStream().readAllBytes()).lines().toList();
    assertEquals(0, child.waitFor(), printed.toString());
    double before = Double.parseDouble(printed.get(0));
    double after = Double.parseDouble(printed.get(1));
    assertTrue(
        after / before < 1.01, "%s kB became %s kB in %d steps".formatted(before, after, STEPS));
    assertEquals("0", printed.get(2), "scopes left open");
  }
}
