package io.holdfast.cli.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FolderLockTest {
  @Test
  void oneAtATime(@TempDir Path folder) {
    var seed = folder.resolve("seed-0");
    try (var first = FolderLock.of(seed);
        var other = FolderLock.of(folder.resolve("seed-1"))) {
      var refused = assertThrows(HoldfastException.class, () -> FolderLock.of(seed));
      assertEquals(ExitCode.USAGE, refused.exitCode());
      assertTrue(refused.getMessage().contains("seed-0"), refused.getMessage());
    }
    FolderLock.of(seed).close();
  }
}
