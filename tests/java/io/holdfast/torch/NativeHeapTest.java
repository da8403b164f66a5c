package io.holdfast.torch;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class NativeHeapTest {
  private static final Path STAT = Path.of("/proc/self/stat");

  /** Pages that the kernel has cleared for this process. */
  private static long faults() throws IOException {
    var stat = Files.readString(STAT);
    return Long.parseLong(stat.substring(stat.lastIndexOf(')') + 2).split(" ")[7]);
  }

  /** A tensor that is freed leaves its pages to the next one. */
  @Test
  void aFreedTensorsPagesAreUsedAgain() throws IOException {
    assumeTrue(Files.isReadable(STAT), "needs /proc");
    int tensors = 50;
    int values = 1 << 21;
    long pages = 4L * values / 4096;
    long before = faults();
    for (int i = 0; i < tensors; i++) {
      try (var scope = Scope.open()) {
        Tensors.of(new float[] {1}, 1).expand(values).contiguous();
      }
    }
    long faults = faults() - before;
    assertTrue(faults < tensors * pages / 4, faults + " faults for 50 tensors of " + pages);
  }
}
