package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/**
 * The launcher script in a folder of its own, with a JDK and a Maven that only say what they do.
 */
@DisabledOnOs(OS.WINDOWS)
class LauncherTest {
  private static final String MAVEN =
      """
      #!/bin/sh
      echo build >> builds
      mkdir -p target/lib
      : > target/holdfast-0.1.0.jar
      """;

  private record Result(int exitCode, String out, String err) {}

  @TempDir Path folder;
  private Path home;
  private Path tools;
  private Path jdk;

  @BeforeEach
  void write() throws IOException {
    home = Files.createDirectories(folder.resolve("a home"));
    tools = Files.createDirectories(folder.resolve("tools"));
    jdk = Files.createDirectories(folder.resolve("jdk"));
    Files.copy(Path.of("holdfast"), home.resolve("holdfast"));
    executable(home.resolve("holdfast"), Files.readString(Path.of("holdfast")));
    Files.createDirectories(home.resolve("src/main"));
    Files.createDirectories(home.resolve("cmake"));
    Files.writeString(home.resolve("src/main/jvm.options"), "");
    Files.writeString(home.resolve("pom.xml"), "");
    Files.writeString(jdk.resolve("release"), "JAVA_VERSION=\"25.0.1\"\n");
    executable(jdk.resolve("bin/java"), "#!/bin/sh\nfor a; do echo \"<$a>\"; done\nexit 6\n");
    executable(tools.resolve("mvn"), MAVEN);
  }

  private static void executable(Path file, String text) throws IOException {
    Files.createDirectories(file.getParent());
    Files.writeString(file, text);
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  private Process start(Path script, String... arguments) throws IOException {
    var command = new ArrayList<>(List.of(script.toString()));
    command.addAll(List.of(arguments));
    var builder = new ProcessBuilder(command).directory(folder.toFile());
    builder.environment().put("JAVA_HOME", jdk.toString());
    builder.environment().put("PATH", tools + ":/usr/bin:/bin");
    builder.environment().remove("HOLDFAST_JAVA_OPTS");
    return builder.start();
  }

  private Result run(Path script, String... arguments) throws Exception {
    return result(start(script, arguments));
  }

  private static Result result(Process process) throws Exception {
    var out = new String(process.getInputStream().readAllBytes());
    var err = new String(process.getErrorStream().readAllBytes());
    assertTrue(process.waitFor(30, TimeUnit.SECONDS));
    return new Result(process.exitValue(), out, err);
  }

  private long builds() throws IOException {
    return Files.readAllLines(home.resolve("builds")).size();
  }

  @Test
  void itBuildsOnceAndHandsOverArgumentsAndExitCode() throws Exception {
    var script = home.resolve("holdfast");
    var first = run(script, "train", "a file.yaml");
    assertTrue(first.err().startsWith("holdfast: building"), first.err());
    assertEquals(1, first.err().lines().count());
    var second = run(script, "train", "a file.yaml");
    assertEquals("", second.err());
    assertEquals(6, second.exitCode());
    assertTrue(
        second.out().endsWith("<io.holdfast.cli.Holdfast>\n<train>\n<a file.yaml>\n"),
        second.out());
    assertEquals(1, builds());
  }

  @Test
  void itIsFoundThroughALink() throws Exception {
    var link = Files.createSymbolicLink(folder.resolve("link"), Path.of("a home/holdfast"));
    var result = run(link, "doctor");
    assertTrue(result.out().contains("<" + home.toRealPath() + "/target/holdfast-0.1.0.jar:"));
  }

  @Test
  void newerSourcesAreBuiltAgain() throws Exception {
    run(home.resolve("holdfast"));
    var source = Files.writeString(home.resolve("src/main/New.java"), "");
    Files.setLastModifiedTime(source, FileTime.from(Instant.now().plusSeconds(60)));
    run(home.resolve("holdfast"));
    assertEquals(2, builds());
  }

  /**
   * Only where there is a GPU, and nobody says no, is LibTorch's build for GPUs fetched, and are
   * kernels for GPUs compiled.
   */
  @Test
  void aGpuAsksForLibTorchOfGpus() throws Exception {
    executable(tools.resolve("mvn"), MAVEN.replace("echo build", "echo \"$HOLDFAST_NATIVES: $@\""));
    executable(tools.resolve("nvidia-smi"), "#!/bin/sh\necho 'GPU 0: NVIDIA of a test'\n");
    run(home.resolve("holdfast"));
    executable(tools.resolve("nvidia-smi"), "#!/bin/sh\necho 'no driver'\nexit 9\n");
    Files.delete(home.resolve("target/holdfast-0.1.0.jar"));
    run(home.resolve("holdfast"));
    var built = Files.readAllLines(home.resolve("builds"));
    assertTrue(built.get(0).contains(" -Pcuda "), built.get(0));
    assertTrue(built.get(0).startsWith(": "), built.get(0));
    assertTrue(!built.get(1).contains("-Pcuda"), built.get(1));
    assertTrue(built.get(1).startsWith("holdfast_cpu: "), built.get(1));
    // Neither JUnit nor the native tests, which read another property.
    assertTrue(built.get(1).contains(" -Dmaven.test.skip=true -DskipTests "), built.get(1));
  }

  @Test
  void librariesOfCudaAreFoundForLibTorchOfGpus() throws Exception {
    Files.createDirectories(home.resolve("benchmarks/gpu"));
    executable(home.resolve("benchmarks/gpu/libraries"), "#!/bin/sh\necho /opt/cuda of a test\n");
    executable(jdk.resolve("bin/java"), "#!/bin/sh\necho \"<$LD_LIBRARY_PATH>\"\n");
    assertTrue(!run(home.resolve("holdfast")).out().contains("cuda"));
    Files.writeString(home.resolve("target/lib/pytorch-2-linux-x86_64-gpu.jar"), "");
    var found = run(home.resolve("holdfast")).out();
    assertTrue(found.contains("</opt/cuda of a test"), found);
  }

  @Test
  void aFailedBuildShowsTheEndOfItsLog() throws Exception {
    executable(tools.resolve("mvn"), "#!/bin/sh\necho Could not resolve dependencies\nexit 1\n");
    var failed = run(home.resolve("holdfast"));
    assertEquals(4, failed.exitCode());
    assertTrue(failed.err().contains("Could not resolve dependencies"), failed.err());
    assertTrue(failed.err().contains("remedy: the first build fetches libraries"), failed.err());
  }

  @Test
  void whatTheBuildHasToSayIsPassedOn() throws Exception {
    executable(tools.resolve("mvn"), MAVEN + "echo 'holdfast: no compiler; remedy: get one'\n");
    var built = run(home.resolve("holdfast"));
    assertTrue(built.err().contains("holdfast: no compiler; remedy: get one"), built.err());
  }

  @Test
  void twoFirstUsesBuildOnce() throws Exception {
    executable(tools.resolve("mvn"), MAVEN.replace("mkdir", "sleep 1\nmkdir"));
    var one = start(home.resolve("holdfast"));
    var other = start(home.resolve("holdfast"));
    assertEquals(6, result(one).exitCode());
    assertEquals(6, result(other).exitCode());
    assertEquals(1, builds());
  }

  @Test
  void theLockOfADeadBuildIsTakenOver() throws Exception {
    var dead = new ProcessBuilder("true").start();
    dead.waitFor();
    var lock = Files.createDirectories(home.resolve("target/.building"));
    Files.writeString(lock.resolve("pid"), dead.pid() + "\n");
    assertEquals(6, run(home.resolve("holdfast")).exitCode());
  }

  @Test
  void anOldJdkIsPassedOverAndItsLackNamed() throws Exception {
    var script = home.resolve("holdfast");
    // No machine has it, so that what is installed here does not matter.
    executable(script, Files.readString(script).replace("jdk_needed=25", "jdk_needed=999"));
    var refused = run(script);
    assertEquals(4, refused.exitCode());
    assertTrue(refused.err().contains("no JDK 999 or newer was found"), refused.err());
    assertTrue(refused.err().contains("remedy: apt-get install openjdk-999-jdk"), refused.err());
  }
}
