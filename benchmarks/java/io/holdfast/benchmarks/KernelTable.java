package io.holdfast.benchmarks;

import io.holdfast.kernels.KernelBackends;
import java.util.ArrayList;
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

/**
 * Runs the benchmarks and prints, for each, its time, the bytes its formula must move, and what
 * share of the measured copy bandwidth that is. An argument is a pattern of benchmarks; without
 * one, all.
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
  public static void main(String[] patterns) throws RunnerException {
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
  }

  private static void print(Collection<RunResult> results) {
    double ceiling =
        results.stream()
            .filter(result -> result.getParams().getBenchmark().contains("CopyBenchmark"))
            .mapToDouble(result -> bytes(result.getParams()) / microseconds(result) / 1e3)
            .max()
            .orElse(Double.NaN);
    System.out.printf(
        "%n%s, %d cores, Java %s, kernels %s%n%n",
        System.getProperty("os.arch"),
        Runtime.getRuntime().availableProcessors(),
        Runtime.version(),
        KernelBackends.cpu().map(kernels -> kernels.description()).orElse("reference"));
    System.out.println("| kernel | size | time, us | GB/s | of copy |");
    System.out.println("|---|---|---|---|---|");
    for (var result : results) {
      double rate = bytes(result.getParams()) / microseconds(result) / 1e3;
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
            .filter(key -> !key.equals("k"))
            .flatMap(key -> Stream.of(params.getParam(key).split("x")))
            .mapToDouble(Double::parseDouble)
            .reduce(1, (a, b) -> a * b);
    return Float.BYTES * elements * TRANSFERS.getOrDefault(name, 0);
  }
}
