package io.holdfast.benchmarks;

import io.holdfast.kernels.DType;
import io.holdfast.kernels.KernelBackends;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.util.Version;

/**
 * Runs the benchmarks and prints, for each, its time, the bytes its formula must move, and what
 * share of the measured copy bandwidth that is. An argument is a pattern of benchmarks; without
 * one, all. {@code --csv FILE} before them writes the same with hardware, date and versions.
 */
public final class KernelTable {
  /** How often a kernel's formula reads or writes each element. */
  private static final Map<String, Integer> TRANSFERS =
      Map.of(
          "subspace.project", 1,
          "subspace.ablate", 2,
          "subspace.constrain", 3,
          "rows.crossentropy", 2,
          "rows.forwardkl", 3,
          "rows.reversekl", 3,
          "update.adamw", 7,
          "update.norm", 1);

  private KernelTable() {}

  /** Runs the benchmarks whose names match the patterns. */
  public static void main(String[] arguments) throws RunnerException, IOException {
    boolean toFile = arguments.length > 1 && arguments[0].equals("--csv");
    var patterns = toFile ? Arrays.copyOfRange(arguments, 2, arguments.length) : arguments;
    var options =
        new OptionsBuilder()
            .mode(Mode.AverageTime)
            .timeUnit(TimeUnit.MICROSECONDS)
            .warmupIterations(3)
            .warmupTime(TimeValue.milliseconds(500))
            .measurementIterations(5)
            .measurementTime(TimeValue.milliseconds(500))
            .forks(1)
            .include("CopyBenchmark");
    for (var pattern : patterns.length == 0 ? new String[] {"io.holdfast.benchmarks"} : patterns) {
      options.include(pattern);
    }
    var results = new Runner(options.build()).run();
    print(results);
    if (toFile) {
      Files.writeString(Path.of(arguments[1]), csv(results));
    }
  }

  private static void print(Collection<RunResult> results) {
    double ceiling = ceiling(results);
    System.out.printf("%n%s%n%n", machine());
    System.out.println("| kernel | size | time, us | GB/s | of copy |");
    System.out.println("|---|---|---|---|---|");
    for (var result : results) {
      double rate = rate(result);
      System.out.printf(
          Locale.ROOT,
          "| %s | %s | %.3f | %s | %s |%n",
          name(result.getParams()),
          size(result.getParams()),
          microseconds(result),
          rate == 0 ? "" : "%.1f".formatted(rate),
          rate == 0 ? "" : "%.0f %%".formatted(100 * rate / ceiling));
    }
  }

  private static String csv(Collection<RunResult> results) {
    double ceiling = ceiling(results);
    var text = new StringBuilder("# " + machine() + "\n");
    text.append("kernel,size,microseconds,error,gigabytes_per_second,share_of_copy\n");
    for (var result : results) {
      text.append(
          String.format(
              Locale.ROOT,
              "%s,\"%s\",%.4g,%.2g,%.4g,%.3f%n",
              name(result.getParams()),
              size(result.getParams()),
              microseconds(result),
              result.getPrimaryResult().getScoreError(),
              rate(result),
              rate(result) / ceiling));
    }
    return text.toString();
  }

  private static String machine() {
    return "%s, %d cores, %s, Java %s, kernels %s, JMH %s, %s"
        .formatted(
            processor(),
            Runtime.getRuntime().availableProcessors(),
            System.getProperty("os.name"),
            Runtime.version(),
            KernelBackends.cpu().map(kernels -> kernels.description()).orElse("reference"),
            Version.getPlainVersion(),
            LocalDate.now());
  }

  private static String processor() {
    try (var lines = Files.lines(Path.of("/proc/cpuinfo"))) {
      return lines
          .filter(line -> line.startsWith("model name"))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst()
          .orElse(System.getProperty("os.arch"));
    } catch (IOException e) {
      return System.getProperty("os.arch");
    }
  }

  /** GB/s of the copy; the most of several. */
  private static double ceiling(Collection<RunResult> results) {
    return results.stream()
        .filter(result -> result.getParams().getBenchmark().contains("CopyBenchmark"))
        .mapToDouble(KernelTable::rate)
        .max()
        .orElse(Double.NaN);
  }

  private static double rate(RunResult result) {
    return bytes(result.getParams()) / microseconds(result) / 1e3;
  }

  private static double microseconds(RunResult result) {
    return result.getPrimaryResult().getScore();
  }

  private static String name(BenchmarkParams params) {
    return params
        .getBenchmark()
        .replaceFirst(".*\\.(\\w+)Benchmark\\.", "$1.")
        .toLowerCase(Locale.ROOT);
  }

  private static String size(BenchmarkParams params) {
    List<String> sizes = new ArrayList<>();
    for (var key : params.getParamsKeys()) {
      sizes.add(key + " " + params.getParam(key));
    }
    return String.join(", ", sizes);
  }

  /** Bytes that one call must read and write if everything is touched once; 0 where none count. */
  private static double bytes(BenchmarkParams params) {
    var name = name(params);
    if (name.equals("copy.copy")) {
      return 2.0 * CopyBenchmark.BYTES;
    }
    double elements =
        params.getParamsKeys().stream()
            .filter(key -> !key.equals("k") && !key.equals("dtype"))
            .flatMap(key -> Stream.of(params.getParam(key).split("x")))
            .mapToDouble(Double::parseDouble)
            .reduce(1, (a, b) -> a * b);
    var dtype = params.getParamsKeys().contains("dtype") ? params.getParam("dtype") : "FLOAT32";
    return DType.valueOf(dtype).bytes() * elements * TRANSFERS.getOrDefault(name, 0);
  }
}
