package io.holdfast.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Real processes, really killed while they save: what was reported as saved is never lost. */
class KillTest {
  private static final int KILLS = 16;

  @TempDir Path parent;

  /** Saves versions FIRST, FIRST + 1, ... over each other and says each that is done. */
  static final class Saver {
    public static void main(String[] arguments) {
      Path folder = Path.of(arguments[0]);
      Path source = Path.of(arguments[1]);
      for (int version = Integer.parseInt(arguments[2]); ; version++) {
        TinyModel.save(folder, source, version);
        System.out.println(version);
      }
    }
  }

  @Test
  void nothingIsLost() throws Exception {
    Path folder = parent.resolve("model");
    Path source = source();
    var random = new Random(11);
    int next = 0;
    for (int kill = 0; kill < KILLS; kill++) {
      int reported = run(folder, source, next, random.nextInt(20_000_000));
      // One that was saved may not have come to say so.
      int found = TinyModel.version(folder);
      assertTrue(
          found == reported || found == reported + 1, found + " found, reported " + reported);
      next = found + 1;
    }
    TinyModel.save(folder, source, next);
    assertEquals(next, TinyModel.version(folder));
    assertClean();
  }

  /** Dies in the worst moment: the old folder has lost its name and the new one has none yet. */
  static final class Swapper {
    public static void main(String[] arguments) {
      Path folder = Path.of(arguments[0]);
      Disk.Gate gate =
          (operation, path) -> {
            if (operation.equals("rename") && path.equals(folder) && !Files.exists(folder)) {
              Runtime.getRuntime().halt(137);
            }
          };
      ScopedValue.where(Disk.GATE, gate)
          .run(() -> TinyModel.save(folder, Path.of(arguments[1]), Integer.parseInt(arguments[2])));
    }
  }

  @Test
  void theOldFolderComesBackWhenKilledBetweenTheTwoRenames() throws Exception {
    Path folder = parent.toRealPath().resolve("model");
    Path source = source();
    TinyModel.save(folder, source, 1);
    Process process = start(Swapper.class, folder, source, 2);
    assertEquals(137, process.waitFor());
    assertFalse(Files.exists(folder));
    assertEquals(1, TinyModel.version(folder));
    TinyModel.save(folder, source, 3);
    assertEquals(3, TinyModel.version(folder));
    assertClean();
  }

  private Path source() throws IOException {
    Path source = Files.createDirectory(parent.resolve("source"));
    Files.writeString(source.resolve("tokenizer.json"), "{}");
    Files.writeString(source.resolve("tokenizer_config.json"), "{}");
    return source;
  }

  private void assertClean() throws IOException {
    try (Stream<Path> left = Files.list(parent)) {
      assertFalse(
          left.anyMatch(path -> path.getFileName().toString().startsWith(".")),
          "leftovers of killed processes must be gone after the next save");
    }
  }

  /** Starts a saver, kills it some time after its second save, returns the last one it reported. */
  private static int run(Path folder, Path source, int first, int nanos)
      throws IOException, InterruptedException {
    Process process = start(Saver.class, folder, source, first);
    int reported = -1;
    try (var lines =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      reported = Integer.parseInt(lines.readLine());
      reported = Integer.parseInt(lines.readLine());
      TimeUnit.NANOSECONDS.sleep(nanos);
      // Through its handle: the process itself would close what it still has to say.
      process.toHandle().destroyForcibly();
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        reported = Integer.parseInt(line);
      }
    } finally {
      process.destroyForcibly().waitFor();
    }
    return reported;
  }

  private static Process start(Class<?> main, Path folder, Path source, int version)
      throws IOException {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:TieredStopAtLevel=1",
            "-cp",
            System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
            main.getName(),
            folder.toString(),
            source.toString(),
            String.valueOf(version))
        .redirectError(ProcessBuilder.Redirect.INHERIT)
        .start();
  }
}
