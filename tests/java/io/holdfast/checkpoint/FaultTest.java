package io.holdfast.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A disk that fails at any operation leaves the old state or the new one, whole. */
class FaultTest {
  @TempDir Path parent;
  private Path folder;
  private Path source;

  @BeforeEach
  void source() throws IOException {
    folder = parent.resolve("step-1");
    source = Files.createDirectory(parent.resolve("source"));
    for (String name : List.of("tokenizer.json", "tokenizer_config.json")) {
      Files.writeString(source.resolve(name), "{}");
    }
  }

  /** Three shards, each holding the version everywhere. */
  private void save(int version) {
    TinyModel.save(folder, source, version);
  }

  @ParameterizedTest
  @EnumSource(Faults.Kind.class)
  void aNewFolderIsWholeOrNotThere(Faults.Kind kind) throws IOException {
    int failed = 0;
    for (int n = 1; ; n++) {
      boolean saved = false;
      boolean reached;
      try {
        int now = n;
        reached = Faults.during(now, kind, () -> save(1));
        saved = true;
      } catch (HoldfastException e) {
        assertFull(e);
        reached = true;
        failed++;
      }
      AtomicFolder.recoverAll(parent);
      if (Files.exists(folder)) {
        assertEquals(1, TinyModel.version(folder));
        Disk.deleteTree(folder);
      } else {
        assertFalse(saved, "saved, yet not there: operation " + n);
      }
      assertClean();
      if (!reached) {
        break;
      }
    }
    assertTrue(failed > 20, failed + " operations failed");
  }

  @ParameterizedTest
  @EnumSource(Faults.Kind.class)
  void anOldFolderIsThereUntilTheNewOneIs(Faults.Kind kind) throws IOException {
    save(0);
    int last = 0;
    for (int n = 1; ; n++) {
      int version = n;
      boolean saved = false;
      boolean reached;
      try {
        reached = Faults.during(n, kind, () -> save(version));
        saved = true;
      } catch (HoldfastException e) {
        assertFull(e);
        reached = true;
      }
      int found = TinyModel.version(folder);
      assertTrue(found == version || found == last && !saved, found + " after " + last);
      last = found;
      AtomicFolder.recoverAll(parent);
      assertClean();
      if (!reached) {
        assertEquals(version, found);
        break;
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Faults.Kind.class)
  void anOldFileIsThereUntilTheNewOneIs(Faults.Kind kind) throws IOException {
    Path file = parent.resolve("state.json");
    AtomicFile.write(file, "0");
    String last = "0";
    for (int n = 1; ; n++) {
      String version = String.valueOf(n);
      boolean reached;
      try {
        reached = Faults.during(n, kind, () -> AtomicFile.write(file, version));
      } catch (HoldfastException e) {
        assertFull(e);
        reached = true;
      }
      String found = Files.readString(file);
      assertTrue(found.equals(version) || found.equals(last), found + " after " + last);
      last = found;
      if (!reached) {
        assertEquals(version, found);
        break;
      }
    }
    assertEquals(List.of("source", "state.json"), names());
  }

  @Test
  void deletingIsAllOrNothing() throws IOException {
    for (int n = 1; ; n++) {
      save(n);
      boolean reached;
      try {
        reached = Faults.during(n, Faults.Kind.FROM_THEN_ON, () -> AtomicFolder.delete(folder));
      } catch (HoldfastException e) {
        assertFull(e);
        reached = true;
      }
      if (Files.exists(folder)) {
        assertEquals(n, TinyModel.version(folder));
      }
      AtomicFolder.recoverAll(parent);
      assertClean();
      if (!reached) {
        break;
      }
    }
    assertFalse(Files.exists(folder));
  }

  @Test
  void aFullDeviceIsSaidSo() throws IOException {
    Path full = Path.of("/dev/full");
    assumeTrue(Files.isWritable(full));
    try (var sink = new Disk.Sink(full, StandardOpenOption.WRITE)) {
      var error = assertThrows(IOException.class, () -> sink.write(ByteBuffer.wrap(new byte[10])));
      assertFull(Disk.failure(full, error));
    }
  }

  @Test
  void aFolderThatMayNotBeWrittenIsSaidSo() {
    Path nowhere = parent.resolve("absent").resolve("x.json");
    var error = assertThrows(HoldfastException.class, () -> AtomicFile.write(nowhere, "x"));
    assertEquals(ExitCode.MISSING, error.exitCode());
    assertTrue(error.getMessage().contains("check that the folder exists"), error.getMessage());
  }

  private static void assertFull(HoldfastException e) {
    assertEquals(ExitCode.MISSING, e.exitCode());
    assertTrue(e.getMessage().contains("the disk is full"), e.getMessage());
    assertTrue(e.getMessage().contains("free some space"), e.getMessage());
  }

  /** No leftover. */
  private void assertClean() throws IOException {
    assertTrue(names().stream().noneMatch(name -> name.startsWith(".")), names().toString());
  }

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(parent)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }
}
