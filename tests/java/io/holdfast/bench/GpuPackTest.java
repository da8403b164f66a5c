package io.holdfast.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/**
 * {@code benchmarks/gpu}: what is packed comes out again, and the check says how it went. A folder
 * of stand-ins takes the place of the JVM and of the tests on a GPU.
 */
@EnabledOnOs(OS.LINUX)
class GpuPackTest {
  private static final Path SCRIPTS = Path.of("benchmarks/gpu").toAbsolutePath();

  private record Result(int exitCode, String text) {}

  @TempDir Path folder;
  private Path stage;
  private Path pieces;

  @BeforeEach
  void write() throws IOException {
    stage = folder.resolve("a stage");
    pieces = folder.resolve("pieces");
    for (var name : List.of("check", "holdfast", "libraries", "unpack")) {
      executable(name, Files.readString(SCRIPTS.resolve(name)));
    }
    Files.writeString(stage.resolve("VERSION"), "holdfast of a test\n");
    Files.writeString(stage.resolve("jvm.options"), "");
    executable("runtime/bin/java", "#!/bin/sh\necho \"cuda:0     a GPU\"\n");
    for (var name : List.of("subspace", "rows", "adamw", "library", "block", "bad_arguments")) {
      executable("native/" + name + "_test_cuda", "#!/bin/sh\necho passed\n");
    }
    executable("native/graph_test", "#!/bin/sh\necho passed\n");
  }

  private void executable(String name, String text) throws IOException {
    var file = stage.resolve(name);
    Files.createDirectories(file.getParent());
    Files.writeString(file, text);
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  private Result run(Object... command) throws Exception {
    var words = new ArrayList<String>();
    for (var word : command) {
      words.add(word.toString());
    }
    var builder = new ProcessBuilder(words).redirectErrorStream(true);
    builder.environment().put("HOLDFAST_CUDA_LIBRARIES", folder.toString());
    builder.environment().remove("HOLDFAST_JAVA_OPTS");
    var process = builder.start();
    var text = new String(process.getInputStream().readAllBytes());
    assertTrue(process.waitFor(60, TimeUnit.SECONDS));
    return new Result(process.exitValue(), text);
  }

  private void pack() throws Exception {
    var packed = run(SCRIPTS.resolve("pack"), "--from", stage, "--piece", 1, pieces);
    assertEquals(0, packed.exitCode(), packed.text());
  }

  private static List<Path> files(Path folder) throws IOException {
    try (var walk = Files.walk(folder)) {
      return walk.filter(Files::isRegularFile).map(folder::relativize).sorted().toList();
    }
  }

  @Test
  void whatIsPackedComesOutAgain() throws Exception {
    var bytes = new byte[2_500_000];
    new SplittableRandom(3).nextBytes(bytes);
    Files.createDirectories(stage.resolve("lib"));
    Files.write(stage.resolve("lib/a large one.jar"), bytes);
    pack();
    for (int i = 0; i < 3; i++) {
      assertTrue(Files.size(pieces.resolve("holdfast-gpu.00" + i)) <= 1 << 20);
    }
    var out = folder.resolve("out");
    var unpacked = run("sh", pieces.resolve("unpack"), pieces, out);
    assertEquals(0, unpacked.exitCode(), unpacked.text());
    assertTrue(unpacked.text().contains("holdfast of a test"), unpacked.text());
    assertEquals(files(stage), files(out));
    for (var file : files(stage)) {
      assertArrayEquals(
          Files.readAllBytes(stage.resolve(file)), Files.readAllBytes(out.resolve(file)));
      assertEquals(
          Files.getPosixFilePermissions(stage.resolve(file)),
          Files.getPosixFilePermissions(out.resolve(file)));
    }
  }

  @Test
  void piecesThatAreMissingOrDamagedAreNamed() throws Exception {
    pack();
    var piece = pieces.resolve("holdfast-gpu.000");
    var bytes = Files.readAllBytes(piece);
    var out = folder.resolve("out");
    Files.delete(piece);
    var missing = run("sh", pieces.resolve("unpack"), pieces, out);
    assertEquals(3, missing.exitCode());
    assertTrue(missing.text().contains("still missing: holdfast-gpu.000"), missing.text());
    bytes[100] ^= 1;
    Files.write(piece, bytes);
    var damaged = run("sh", pieces.resolve("unpack"), pieces, out);
    assertEquals(3, damaged.exitCode());
    assertTrue(damaged.text().contains("holdfast-gpu.000: FAILED"), damaged.text());
    assertTrue(Files.notExists(out));
    assertEquals(2, run("sh", pieces.resolve("unpack"), pieces).exitCode());
    assertEquals(2, run(SCRIPTS.resolve("pack"), "--piece", 61).exitCode());
  }

  private Result check() throws Exception {
    return run(stage.resolve("check"), folder.resolve("results"));
  }

  private String table() throws IOException {
    return Files.readString(folder.resolve("results/gpu-check.md"));
  }

  @Test
  void withoutAGpuItSaysSo() throws Exception {
    for (var name : List.of("subspace", "rows", "adamw", "library", "block")) {
      executable(
          "native/" + name + "_test_cuda",
          "#!/bin/sh\necho 'skipped: no CUDA device: no driver'\nexit 77\n");
    }
    executable("native/graph_test", "#!/bin/sh\necho 'skipped: no CUDA device'\nexit 77\n");
    var checked = check();
    assertEquals(4, checked.exitCode(), checked.text());
    assertTrue(checked.text().contains("no GPU: no CUDA device: no driver"), checked.text());
    assertTrue(table().contains("| wrong arguments | passed |"), table());
    assertTrue(table().contains("| rows | not run |"), table());
    assertTrue(!table().contains("benchmark"), table());
  }

  @Test
  void aTestThatFailsFailsTheCheck() throws Exception {
    executable("native/rows_test_cuda", "#!/bin/sh\necho '3 failures'\nexit 1\n");
    var checked = check();
    assertEquals(1, checked.exitCode(), checked.text());
    assertTrue(table().contains("| rows | FAILED (1) |"), table());
    assertTrue(table().contains("| 3 failures |"), table());
  }

  /** The stand-in for the JVM trains too: what the CPU and the GPU report must agree. */
  @Test
  void lossesThatDisagreeFailTheCheck() throws Exception {
    for (var last : List.of("0.50004", "0.6")) {
      executable(
          "runtime/bin/java",
          """
          #!/bin/sh
          for word; do case $word in *run-cpu.yaml) loss=0.5 run=${word%%.yaml} ;;
            *run-cuda.yaml) loss=%s run=${word%%.yaml} ;; esac; done
          [ -z "${run:-}" ] || { mkdir -p "$run"
            printf '{"step":1,"loss":1.5e0,"x":1}\\n{"step":2,"loss":%%s}\\n' "$loss" >"$run/metrics.jsonl"; }
          echo "cuda:0     a GPU"
          """
              .formatted(last));
      var checked = check();
      boolean agree = last.startsWith("0.5");
      assertEquals(agree ? 0 : 1, checked.exitCode(), checked.text());
      assertTrue(table().contains("same losses | " + (agree ? "passed" : "FAILED")), table());
      assertTrue(table().contains("2 steps, losses differ by at most"), table());
      assertTrue(table().contains("a GPU, "), table());
    }
  }
}
