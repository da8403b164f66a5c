package io.holdfast.cli;

import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.NativeKernels;
import io.holdfast.torch.Threads;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
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

  /** The line above a measurement: hardware, versions, threads and kernels, and the day. */
  static String described(Kernels kernels) {
    return "%s, %d cores, %s; holdfast %s, LibTorch %s with %d threads, Java %s; kernels %s; %s"
        .formatted(
            processor().orElse(System.getProperty("os.arch")),
            Runtime.getRuntime().availableProcessors(),
            System.getProperty("os.name"),
            Version.ofHoldfast(),
            Version.ofLibTorch(),
            Threads.get(),
            System.getProperty("java.version"),
            description(kernels.name()),
            LocalDate.now());
  }

  private static String description(String kernels) {
    var library =
        switch (kernels) {
          case "cpu" -> KernelBackends.cpu();
          case "cuda" -> KernelBackends.cuda();
          default -> Optional.<NativeKernels>empty();
        };
    return library.map(NativeKernels::description).orElse(kernels);
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
