package io.holdfast.checkpoint;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;

/** Makes the disk fail inside a call, for the tests of everything that saves. */
public final class Faults {
  /** What a disk can do wrong. */
  public enum Kind {
    /** One operation fails, those after it succeed. */
    ONCE,
    /** From one operation on all fail, as when the disk is pulled or the process is killed. */
    FROM_THEN_ON
  }

  private Faults() {}

  /**
   * Runs a save whose n-th disk operation fails, counted from 1.
   *
   * @return whether it had that many operations
   */
  public static boolean during(int n, Kind kind, Runnable save) {
    AtomicInteger count = new AtomicInteger();
    Disk.Gate gate =
        (operation, path) -> {
          int now = count.incrementAndGet();
          if (kind == Kind.ONCE ? now == n : now >= n) {
            throw full(operation, path);
          }
        };
    ScopedValue.where(Disk.GATE, gate).run(save);
    return count.get() >= n;
  }

  private static IOException full(String operation, Path path) {
    return new IOException("No space left on device (" + operation + " " + path + ")");
  }
}
