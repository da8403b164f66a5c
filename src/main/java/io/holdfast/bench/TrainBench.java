package io.holdfast.bench;

import io.holdfast.HoldfastException;
import io.holdfast.kernels.DType;
import io.holdfast.torch.ComputeDevice;
import io.holdfast.train.Progress;
import io.holdfast.train.StepReport;
import io.holdfast.train.TrainRun;
import io.holdfast.train.config.TrainConfig;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.Consumer;

/**
 * Training steps of several runs beside one another, and beside what the machine allows.
 *
 * @param ceiling of the device, measured in the same process
 * @param results one for each run, in order
 */
public record TrainBench(Ceiling ceiling, List<Result> results) {
  /** Steps at the start of each round that are not counted: memory is still being laid out. */
  private static final int WARM = 2;

  /** Side of a product that is only to show whether a larger one is worth its time. */
  private static final int SMALL = 256;

  /**
   * What was found of a run.
   *
   * @param seconds of a step, median
   * @param tokensPerSecond over all steps that count
   * @param operations of a step's products, mean
   * @param share of the ceiling: the least time of a step over its time, median
   * @param ratio of a step's time to that of the first run's same step, median
   */
  public record Result(
      String name,
      double seconds,
      double tokensPerSecond,
      double operations,
      double share,
      double ratio) {}

  /** A step and what it had to do. */
  private record Step(StepReport report, StepWork work) {}

  /**
   * Measures runs in turn. A round before the first is not counted.
   *
   * @param runs by name; the others are compared with the first
   * @param steps counted of each run in each round
   * @throws HoldfastException where a run has fewer steps
   */
  public static TrainBench measure(
      SequencedMap<String, TrainConfig> runs, int steps, int rounds, Consumer<String> say) {
    var found = new LinkedHashMap<String, List<Step>>();
    runs.keySet().forEach(name -> found.put(name, new ArrayList<>()));
    for (int round = 0; round <= rounds; round++) {
      for (var run : runs.entrySet()) {
        say.accept("round %d of %d: %s".formatted(round, rounds, run.getKey()));
        var counted = trial(run.getKey(), run.getValue(), steps);
        if (round > 0) {
          found.get(run.getKey()).addAll(counted);
        }
      }
    }
    var ceiling = ceiling(runs.firstEntry().getValue());
    var first = found.firstEntry().getValue();
    var results = new ArrayList<Result>();
    found.forEach((name, own) -> results.add(result(name, own, first, ceiling)));
    return new TrainBench(ceiling, results);
  }

  private static List<Step> trial(String name, TrainConfig config, int steps) {
    var trial = TrainRun.trial(config, WARM + steps, Progress.Style.NONE);
    if (trial.steps().size() < WARM + steps) {
      throw HoldfastException.usage(
          "--steps: %s ends after %d steps, of which the first %d do not count; ask for %d at most",
          name, trial.steps().size(), WARM, Math.max(0, trial.steps().size() - WARM));
    }
    var work = StepWork.of(trial.shape(), trial.trained());
    return trial.steps().stream().skip(WARM).map(report -> new Step(report, work)).toList();
  }

  /** In the number format that the run computes in, unless a CPU is faster in float32. */
  private static Ceiling ceiling(TrainConfig config) {
    var dtype = config.precision().dtype();
    if (ComputeDevice.current().cuda()) {
      var sizes = Sizes.gpu();
      return Ceiling.measure(sizes, new Sizes.Product(dtype, sizes.product().side()));
    }
    var sizes = Sizes.full();
    var wide = Ceiling.measure(sizes);
    if (dtype == DType.FLOAT32) {
      return wide;
    }
    // A small one first: without units for it a large product takes minutes.
    var narrow = Ceiling.measure(sizes, new Sizes.Product(dtype, SMALL));
    return narrow.arithmetic() < wide.arithmetic()
        ? wide
        : Ceiling.measure(sizes, new Sizes.Product(dtype, sizes.product().side()));
  }

  private static Result result(String name, List<Step> own, List<Step> first, Ceiling ceiling) {
    var seconds = new ArrayList<Double>();
    var shares = new ArrayList<Double>();
    var ratios = new ArrayList<Double>();
    double operations = 0;
    long tokens = 0;
    for (int i = 0; i < own.size(); i++) {
      var report = own.get(i).report();
      seconds.add(report.seconds());
      shares.add(own.get(i).work().floor(report, ceiling) / report.seconds());
      ratios.add(report.seconds() / first.get(i).report().seconds());
      operations += own.get(i).work().operations(report) / own.size();
      tokens += report.tokens();
    }
    return new Result(
        name,
        Timing.median(seconds),
        tokens / seconds.stream().mapToDouble(Double::doubleValue).sum(),
        operations,
        Timing.median(shares),
        Timing.median(ratios));
  }
}
