package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.bench.Ceiling;
import io.holdfast.bench.KernelBench;
import io.holdfast.bench.LoadBench;
import io.holdfast.bench.Measurement;
import io.holdfast.bench.Sizes;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.cli.demo.CompareGuards;
import io.holdfast.kernels.Kernels;
import io.holdfast.report.Table;
import io.holdfast.torch.ComputeDevice;
import io.holdfast.train.Progress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** Measurements of this machine. */
@Command(
    name = "bench",
    description =
        "Measure this machine: the kernels, training, how fast a model is loaded; compare guards.",
    subcommands = {
      Bench.OfKernels.class,
      BenchTrain.class,
      Bench.OfLoading.class,
      CompareGuards.class
    },
    synopsisSubcommandLabel = "WHAT")
final class Bench implements Runnable {
  @Spec private CommandSpec spec;
  @ParentCommand private Holdfast root;

  /** How progress is shown. */
  Progress.Style progress() {
    return root.progress();
  }

  @Override
  public void run() {
    throw new picocli.CommandLine.ParameterException(
        spec.commandLine(),
        "bench: say what to measure: bench kernels | bench train | bench load | bench guards");
  }

  /** {@code bench kernels}. */
  @Command(
      name = "kernels",
      description =
          "Measure copy bandwidth and matrix rate, then each kernel's time, its share of what those"
              + " allow, and how many times faster it is than LibTorch's operations. Wants an idle"
              + " machine.")
  static final class OfKernels implements Runnable {
    @Spec private CommandSpec spec;

    @Option(
        names = "--csv",
        paramLabel = "FILE",
        description = "Also write the results, with hardware, date and versions.")
    private Path csv;

    @Mixin private DeviceOption device;

    @Option(names = "--quick", description = "Small sizes, to see that all runs: seconds.")
    private boolean quick;

    @Override
    public void run() {
      device.require();
      var found = new ArrayList<Measurement>();
      var where = ComputeDevice.current();
      var kernels = where.kernels();
      var sizes = quick ? Sizes.quick() : where.cuda() ? Sizes.gpu() : Sizes.full();
      var ceiling = Ceiling.measure(sizes);
      KernelBench.run(kernels, sizes, ceiling, found::add);
      var out = spec.commandLine().getOut();
      out.println(Machine.described(kernels));
      out.printf(
          Locale.ROOT,
          "copy %.1f GB/s, %s matrix product %.0f GFLOP/s%n%n",
          ceiling.bandwidth() / 1e9,
          sizes.product().dtype().name().toLowerCase(Locale.ROOT),
          ceiling.arithmetic() / 1e9);
      out.print(table(found).markdown());
      if (csv != null) {
        AtomicFile.write(csv, csv(found, ceiling, kernels));
      }
    }

    private static Table table(List<Measurement> found) {
      return new Table(
          List.of("kernel", "dtype", "size", "ms", "MB", "GB/s", "of ceiling", "x LibTorch"),
          found.stream()
              .map(
                  m ->
                      List.of(
                          m.kernel(),
                          m.dtype().name().toLowerCase(Locale.ROOT),
                          m.size(),
                          number("%.3f", m.seconds() * 1e3),
                          number("%.1f", m.bytes() / 1e6),
                          number("%.1f", m.rate() / 1e9),
                          number("%.0f %%", 100 * m.share()),
                          number("%.1f", m.ratio())))
              .toList());
    }

    private static String number(String format, double value) {
      return String.format(Locale.ROOT, format, value);
    }

    private static String csv(List<Measurement> found, Ceiling ceiling, Kernels kernels) {
      var text = new StringBuilder();
      text.append("# ").append(Machine.described(kernels)).append('\n');
      text.append("# copy_bytes_per_second=%.4g".formatted(ceiling.bandwidth()));
      text.append(" matrix_flops_per_second=%.4g\n".formatted(ceiling.arithmetic()));
      text.append("kernel,dtype,size,seconds,bytes,bytes_per_second,share_of_ceiling,");
      text.append("libtorch_seconds\n");
      for (var m : found) {
        text.append(
            String.format(
                Locale.ROOT,
                "%s,%s,\"%s\",%.6g,%.0f,%.4g,%.3f,%.6g%n",
                m.kernel(),
                m.dtype().name().toLowerCase(Locale.ROOT),
                m.size(),
                m.seconds(),
                m.bytes(),
                m.rate(),
                m.share(),
                m.libTorch()));
      }
      return text.toString();
    }
  }

  /** {@code bench load}. */
  @Command(
      name = "load",
      description =
          "Measure how long a model's weights take from the page cache to memory that a forward"
              + " pass reads, beside the time of reading the files. Wants an idle machine.")
  static final class OfLoading implements Runnable {
    @Spec private CommandSpec spec;

    @Option(
        names = {"-m", "--model"},
        paramLabel = "DIR",
        required = true,
        description = "Hugging Face folder.")
    private Path model;

    @Option(
        names = "--runs",
        paramLabel = "N",
        description = "Medians of so many runs (default: ${DEFAULT-VALUE}).")
    private int runs = 5;

    @Override
    public void run() {
      if (runs < 1) {
        throw HoldfastException.usage("--runs is at least 1");
      }
      var found = LoadBench.measure(model, runs);
      spec.commandLine()
          .getOut()
          .printf(
              Locale.ROOT,
              "{\"bytes\": %d, \"read_seconds\": %.4f, \"load_seconds\": %.4f, \"ratio\": %.2f,"
                  + " \"pass_seconds\": %.4f}%n",
              found.bytes(),
              found.read(),
              found.load(),
              found.ratio(),
              found.pass());
    }
  }
}
