package io.holdfast.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** What this machine has besides Java. */
final class Machine {
  private static final long PATIENCE_SECONDS = 10;

  private Machine() {}

  /** The first line with a word in it that a tool prints, or nothing where it is not there. */
  static Optional<String> tool(String word, String... command) {
    return lines(command).stream().filter(line -> line.contains(word)).findFirst();
  }

  /** The processor's name, where the system says it. */
  static Optional<String> processor() {
    try (var lines = Files.lines(Path.of("/proc/cpuinfo"))) {
      return lines
          .filter(line -> line.startsWith("model name"))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst();
    } catch (IOException | UncheckedIOException e) {
      return Optional.empty();
    }
  }

  /** NVIDIA GPUs with memory and driver, a line each. */
  static List<String> gpus() {
    return lines(
        "nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader");
  }

  /** Where an executable is on the PATH. */
  static Optional<Path> onPath(String name) {
    return Stream.of(Optional.ofNullable(System.getenv("PATH")).orElse("").split(":"))
        .map(folder -> Path.of(folder, name))
        .filter(Files::isExecutable)
        .findFirst();
  }

  private static List<String> lines(String... command) {
    if (onPath(command[0]).isEmpty()) {
      return List.of();
    }
    try {
      var process = new ProcessBuilder(command).redirectErrorStream(true).start();
      var text = new String(process.getInputStream().readAllBytes());
      boolean ended = process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS);
      return ended && process.exitValue() == 0 ? text.lines().toList() : List.of();
    } catch (IOException e) {
      return List.of();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return List.of();
    }
  }
}
