package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.bench.TrainBench;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.cli.demo.DemoRuns;
import io.holdfast.report.Table;
import io.holdfast.torch.ComputeDevice;
import io.holdfast.train.Progress;
import io.holdfast.train.config.TrainConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.SequencedMap;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** {@code bench train}. */
@Command(
    name = "train",
    description = {
      "Measure training steps: their time, the share of it that the matrix rate and the bandwidth"
          + " of this machine need, and what guards cost over plain training.",
      "With CONFIG.yaml its run beside the same run without guards, else the four runs of the demo."
          + " Nothing is kept. Wants an idle machine."
    })
final class BenchTrain implements Runnable {
  @Spec private CommandSpec spec;
  @ParentCommand private Bench bench;
  @Mixin private DeviceOption device;

  @Parameters(
      arity = "0..1",
      paramLabel = "CONFIG.yaml",
      description = "The run; its output folder is not touched.")
  private Path file;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description = "Change a key of CONFIG.yaml, such as batch_size=8; may be repeated.")
  private List<String> overrides = List.of();

  @Option(
      names = "--steps",
      paramLabel = "N",
      description = "Steps of each run in each round (default: ${DEFAULT-VALUE}).")
  private int steps = 20;

  @Option(
      names = "--rounds",
      paramLabel = "N",
      description =
          "How often each run has its turn, after a first that does not count (default:"
              + " ${DEFAULT-VALUE}).")
  private int rounds = 3;

  @Option(names = "--csv", paramLabel = "FILE", description = "Also write the table there.")
  private Path csv;

  @Override
  public void run() {
    if (steps < 1 || rounds < 1) {
      throw HoldfastException.usage("--steps and --rounds are at least 1");
    }
    if (file == null && !overrides.isEmpty()) {
      throw HoldfastException.usage("--set: needs the CONFIG.yaml whose keys it changes");
    }
    device.require();
    try (var scratch = ScratchFolder.create()) {
      var runs = file == null ? DemoRuns.in(scratch.path()) : configured(scratch.path());
      var found = TrainBench.measure(runs, steps, rounds, this::say);
      var out = spec.commandLine().getOut();
      var machine = Machine.described(ComputeDevice.current().kernels());
      var ceiling = found.ceiling();
      out.println(machine);
      out.printf(
          Locale.ROOT,
          "matrix product %.0f GFLOP/s, copy %.1f GB/s; rounds: %d, steps in each: %d%n%n",
          ceiling.arithmetic() / 1e9,
          ceiling.bandwidth() / 1e9,
          rounds,
          steps);
      out.print(table(found.results()).markdown());
      if (csv != null) {
        AtomicFile.write(csv, csv(machine, found));
      }
    }
  }

  /** The configured run, and the same without guards before it if it has any. */
  private SequencedMap<String, TrainConfig> configured(Path folder) {
    var all = new ArrayList<>(overrides);
    all.addAll(device.override());
    var plain = load(all, folder.resolve("plain"), List.of("guard={}"));
    var asItIs = load(all, folder.resolve("guarded"), List.of());
    var runs = new LinkedHashMap<String, TrainConfig>();
    runs.put("without guards", plain);
    if (!plain.guard().equals(asItIs.guard())) {
      runs.put("as configured", asItIs);
    }
    return runs;
  }

  private TrainConfig load(List<String> all, Path output, List<String> more) {
    var keys = new ArrayList<>(all);
    keys.addAll(more);
    keys.add("output=" + output);
    return TrainConfig.load(file, keys);
  }

  private void say(String what) {
    if (bench.progress() != Progress.Style.NONE) {
      spec.commandLine().getErr().println(what);
    }
  }

  private static Table table(List<TrainBench.Result> results) {
    return new Table(
        List.of("run", "ms a step", "tokens/s", "GFLOP a step", "of ceiling", "x plain"),
        results.stream()
            .map(
                result ->
                    List.of(
                        result.name(),
                        number("%.1f", 1e3 * result.seconds()),
                        number("%.0f", result.tokensPerSecond()),
                        number("%.2f", result.operations() / 1e9),
                        number("%.0f %%", 100 * result.share()),
                        number("%.3f", result.ratio())))
            .toList());
  }

  private static String number(String format, double value) {
    return String.format(Locale.ROOT, format, value);
  }

  private static String csv(String machine, TrainBench found) {
    var text = new StringBuilder("# " + machine + "\n");
    text.append(
        number("# copy_bytes_per_second=%.4g", found.ceiling().bandwidth())
            + number(" matrix_flops_per_second=%.4g%n", found.ceiling().arithmetic()));
    text.append("run,seconds,tokens_per_second,flops,share_of_ceiling,ratio_to_first\n");
    for (var result : found.results()) {
      text.append(
          String.format(
              Locale.ROOT,
              "\"%s\",%.6g,%.6g,%.4g,%.3f,%.4f%n",
              result.name(),
              result.seconds(),
              result.tokensPerSecond(),
              result.operations(),
              result.share(),
              result.ratio()));
    }
    return text.toString();
  }
}
