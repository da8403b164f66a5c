package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.Timeout.ThreadMode;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** Signals go to a process of its own, so that the one that runs the tests stays alive. */
@DisabledOnOs(OS.WINDOWS)
@Timeout(value = 2, unit = TimeUnit.MINUTES, threadMode = ThreadMode.SEPARATE_THREAD)
class InterruptTest {
  /** Asks until a signal has come; "patient" goes on asking after it. */
  static final class Loop {
    public static void main(String[] arguments) throws InterruptedException {
      boolean patient = arguments[0].equals("patient");
      try (var interrupt = Interrupt.watch()) {
        System.out.println("ready");
        while (patient || !interrupt.requested()) {
          Thread.sleep(5);
        }
      }
      System.exit(3);
    }
  }

  private static Process start(String mode) throws IOException {
    var java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    var classPath = System.getProperty("java.class.path");
    var process =
        new ProcessBuilder(
                List.of(java, "-cp", classPath, "io.holdfast.train.InterruptTest$Loop", mode))
            .start();
    assertEquals("ready", process.inputReader().readLine());
    return process;
  }

  private static void signal(String name, Process process) throws Exception {
    var kill = new ProcessBuilder("kill", "-" + name, Long.toString(process.pid()));
    assertEquals(0, kill.inheritIO().start().waitFor());
  }

  private static int exitCode(Process process) throws InterruptedException {
    try {
      assertTrue(process.waitFor(30, TimeUnit.SECONDS), "the process did not end");
      return process.exitValue();
    } finally {
      process.destroyForcibly();
    }
  }

  @Test
  void theLoopEndsByItselfAfterCtrlC() throws Exception {
    CtrlC.assumeHeard();
    var process = start("polite");
    signal("INT", process);
    assertEquals(3, exitCode(process));
  }

  @Test
  void terminationIsAQuestionToo() throws Exception {
    var process = start("polite");
    signal("TERM", process);
    assertEquals(3, exitCode(process));
  }

  @Test
  void theSecondCtrlCEndsTheProcess() throws Exception {
    CtrlC.assumeHeard();
    var process = start("patient");
    signal("INT", process);
    var err = process.errorReader();
    assertEquals("", err.readLine());
    assertTrue(err.readLine().contains("once more stops at once"));
    signal("INT", process);
    assertEquals(130, exitCode(process));
  }
}
