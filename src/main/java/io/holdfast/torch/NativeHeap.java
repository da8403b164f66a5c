package io.holdfast.torch;

import io.holdfast.kernels.CFunction;
import java.util.stream.Stream;

/** The heap that tensors on a CPU come from: glibc's, where there is one. */
final class NativeHeap {
  private static final int TRIM_THRESHOLD = -1;
  private static final int MMAP_THRESHOLD = -3;

  /** What glibc gets to by itself when it has freed the largest block that it adapts to. */
  private static final int LARGEST = 32 << 20;

  private NativeHeap() {}

  /**
   * Keeps memory that was freed for the next tensor. By default glibc gives the pages at the end of
   * a thread's heap back as soon as a tensor there is freed, and the kernel clears new ones for the
   * next: a sixth of the time of a small model's forward pass. What the environment says already
   * stays.
   */
  static void keep() {
    boolean told =
        Stream.of("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
            .anyMatch(name -> System.getenv(name) != null);
    if (told || !System.getProperty("os.name").equals("Linux")) {
      return;
    }
    CFunction.standard("mallopt")
        .ifPresent(
            mallopt -> {
              mallopt.call(MMAP_THRESHOLD, LARGEST);
              mallopt.call(TRIM_THRESHOLD, 2 * LARGEST);
            });
  }
}
