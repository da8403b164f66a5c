package io.holdfast.train;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What tests of Ctrl-C need. */
final class CtrlC {
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final int SIGINT = 2;

  private CtrlC() {}

  /**
   * Where tests run in the background of a script, its shell has them ignore Ctrl-C, and so do the
   * processes that they start.
   */
  static void assumeHeard() throws IOException {
    if (Files.isReadable(STATUS)) {
      try (var lines = Files.lines(STATUS)) {
        var ignored = lines.filter(line -> line.startsWith("SigIgn:")).findFirst().orElseThrow();
        long mask = Long.parseUnsignedLong(ignored.split("\\s+")[1], 16);
        assumeTrue((mask & 1 << SIGINT - 1) == 0, "this process ignores Ctrl-C");
      }
    }
  }
}
