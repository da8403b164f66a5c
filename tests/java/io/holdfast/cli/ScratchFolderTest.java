package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class ScratchFolderTest {
  @Test
  void itIsGoneWithAllThatIsInItWhenItIsClosed() throws IOException {
    Path path;
    try (var scratch = ScratchFolder.create();
        var other = ScratchFolder.create()) {
      path = scratch.path();
      assertNotEquals(path, other.path());
      Files.writeString(Files.createDirectories(path.resolve("a/b")).resolve("c"), "text");
      assertTrue(Files.isDirectory(path));
    }
    assertFalse(Files.exists(path));
  }
}
