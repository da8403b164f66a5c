package io.holdfast.cli.demo;

import com.sun.management.OperatingSystemMXBean;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.checkpoint.AtomicFolder;
import io.holdfast.cli.Holdfast;
import io.holdfast.model.AdaptedDecoder;
import io.holdfast.model.Decoder;
import io.holdfast.report.RunRow;
import io.holdfast.torch.Threads;
import io.holdfast.train.Progress;
import io.holdfast.train.TrainRun;
import io.holdfast.train.config.TrainConfig;
import io.holdfast.world.World;
import java.io.IOException;
import java.io.PrintWriter;
import java.lang.management.ManagementFactory;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Guards and baselines side by side on the embedded world. */
@Command(
    name = "guards",
    description = {
      "Train the embedded world's base in many ways, judge each model, and print one table.",
      "What is done stays done: the same command goes on where it was stopped."
    })
public final class CompareGuards implements Runnable {
  private static final OperatingSystemMXBean MACHINE =
      ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);

  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "ARMS.yaml", description = "What to run.")
  private Path file;

  @Option(
      names = "--arms",
      paramLabel = "GLOB",
      description = "Only those whose ROWS/NAME it matches; may be repeated.")
  private List<String> patterns = List.of();

  @Option(names = "--seeds", split = ",", description = "Default: 0,1,2.")
  private List<Long> seeds = List.of(0L, 1L, 2L);

  @Option(
      names = "--evaluation-seed",
      description = "Seed of the prompts that models are judged by (default: ${DEFAULT-VALUE}).")
  private long evaluationSeed = 77_003;

  @Option(
      names = "--bases",
      paramLabel = "DIR",
      description =
          "Where each seed's base is, in seed-N/base; made there if missing (default: DIR of"
              + " --out).")
  private Path bases;

  @Option(
      names = "--out",
      paramLabel = "DIR",
      description = "Where everything goes (default: ${DEFAULT-VALUE}).")
  private Path out = Path.of("holdfast-compare");

  @Option(names = "--list", description = "Only say what would run.")
  private boolean list;

  @Override
  public void run() {
    var arms = ArmList.load(file);
    var chosen = arms.cells().stream().filter(this::chosen).toList();
    var stdout = spec.commandLine().getOut();
    if (list) {
      chosen.forEach(cell -> stdout.println(cell.id()));
      return;
    }
    if (chosen.isEmpty()) {
      throw HoldfastException.usage(
          "--arms %s: matches nothing; --list shows what there is", patterns);
    }
    Threads.set(Runtime.getRuntime().availableProcessors());
    for (long seed : seeds) {
      run(arms, chosen, seed);
    }
    report(arms, stdout);
  }

  private boolean chosen(ArmList.Cell cell) {
    return patterns.isEmpty() || patterns.stream().anyMatch(p -> matcher(p).matches(path(cell)));
  }

  private static PathMatcher matcher(String glob) {
    return FileSystems.getDefault().getPathMatcher("glob:" + glob);
  }

  private static Path path(ArmList.Cell cell) {
    return Path.of(cell.id());
  }

  private void run(ArmList arms, List<ArmList.Cell> chosen, long seed) {
    var world = World.load();
    var home = (bases == null ? out : bases).resolve("seed-" + seed);
    var base = BaseModel.prepared(home, world, seed, style(), this::say);
    var folder = out.resolve("seed-" + seed);
    try (var bed = new TestBed(world, base, folder.resolve("data"), seed, evaluationSeed)) {
      judgeBase(arms, bed, folder, seed);
      for (var cell : chosen) {
        new Cell(arms, cell, bed, folder, seed).run();
      }
    }
  }

  /** The base itself, once for each prefix. */
  private void judgeBase(ArmList arms, TestBed bed, Path folder, long seed) {
    arms.rows()
        .forEach(
            (name, rows) -> {
              var file = result(folder, name + "/base");
              var key = "base, evaluation seed " + evaluationSeed;
              if (ArmResult.read(file).filter(r -> r.key().equals(key)).isEmpty()) {
                var metrics = bed.evaluate(bed.reference(), rows.identityShift()).metrics();
                new ArmResult(name, seed, key, new RunRow("base", metrics, 0, 0, 0)).write(file);
              }
            });
  }

  private static Path result(Path folder, String id) {
    var name = id.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9.]+", "-");
    try {
      return Files.createDirectories(folder.resolve("results")).resolve(name + ".json");
    } catch (IOException e) {
      throw HoldfastException.input("%s: cannot be created (%s)", folder, e.getMessage());
    }
  }

  private void report(ArmList arms, PrintWriter stdout) {
    var table = new ComparisonTable();
    for (var rows : arms.rows().keySet()) {
      seeds.forEach(
          seed ->
              ArmResult.read(result(out.resolve("seed-" + seed), rows + "/base"))
                  .ifPresent(table::add));
      for (var cell : arms.cells()) {
        for (long seed : seeds) {
          if (cell.rows().equals(rows)) {
            ArmResult.read(result(out.resolve("seed-" + seed), cell.id())).ifPresent(table::add);
          }
        }
      }
    }
    AtomicFile.write(out.resolve("table.md"), table.markdown());
    AtomicFile.write(out.resolve("table.csv"), table.csv());
    stdout.print(table.markdown());
    stdout.printf("%n%s%n%s%n", out.resolve("table.md"), out.resolve("table.csv"));
  }

  private Progress.Style style() {
    return ((Holdfast) spec.root().userObject()).progress();
  }

  private void say(String text) {
    if (style() != Progress.Style.NONE) {
      spec.commandLine().getErr().println(text);
    }
  }

  /** One arm on one kind of rows with one seed. */
  private final class Cell {
    private final ArmList arms;
    private final ArmList.Cell cell;
    private final TestBed bed;
    private final Path folder;
    private final long seed;

    Cell(ArmList arms, ArmList.Cell cell, TestBed bed, Path folder, long seed) {
      this.arms = arms;
      this.cell = cell;
      this.bed = bed;
      this.folder = folder;
      this.seed = seed;
    }

    void run() {
      var runs = folder.resolve("run");
      var rows = arms.rows().get(cell.rows());
      var places = bed.places(cell.rows(), rows);
      var yamls = new LinkedHashMap<String, String>();
      if (cell.arm().first() != null) {
        places.put("out", runs.resolve("first").toString());
        yamls.put("first", arms.yaml(cell.arm().first(), places));
        places.put("base", folder.resolve("first-model").toString());
      }
      places.put("out", runs.resolve("last").toString());
      yamls.put("last", arms.yaml(cell.arm().set(), places));
      var key = "evaluation seed " + evaluationSeed + "\n" + String.join("\n", yamls.values());
      var file = result(folder, cell.id());
      if (ArmResult.read(file).filter(result -> result.key().equals(key)).isPresent()) {
        say("seed %d, %s: done before".formatted(seed, cell.id()));
        return;
      }
      say("seed %d, %s".formatted(seed, cell.id()));
      try {
        train(yamls, runs, file, key, rows.identityShift());
      } catch (HoldfastException e) {
        if (e.exitCode() == io.holdfast.ExitCode.INTERRUPTED) {
          throw e;
        }
        say("seed %d, %s: failed: %s".formatted(seed, cell.id(), e.getMessage()));
      }
    }

    private void train(
        LinkedHashMap<String, String> yamls, Path runs, Path file, String key, boolean prefixed) {
      double milliseconds = 0;
      TrainRun.Outcome outcome = null;
      TrainConfig config = null;
      for (var stage : yamls.entrySet()) {
        var output = runs.resolve(stage.getKey());
        if (Files.exists(output)) {
          AtomicFolder.delete(output);
        }
        createFolder(runs);
        var yaml = runs.resolve(stage.getKey() + ".yaml");
        AtomicFile.write(yaml, stage.getValue());
        config = TrainConfig.load(yaml, List.of());
        long before = MACHINE.getProcessCpuTime();
        outcome = TrainRun.run(config, false, Progress.Style.NONE);
        milliseconds = (MACHINE.getProcessCpuTime() - before) / 1e6;
        if (stage.getKey().equals("first")) {
          BaseModel.copy(outcome.checkpoint(), folder.resolve("first-model"));
        }
      }
      judge(config, outcome, milliseconds, file, key, prefixed);
    }

    private void judge(
        TrainConfig config,
        TrainRun.Outcome outcome,
        double milliseconds,
        Path file,
        String key,
        boolean prefixed) {
      boolean adapter = Files.isRegularFile(outcome.checkpoint().resolve("adapter_config.json"));
      if (adapter) {
        try (var adapted = AdaptedDecoder.load(config.model(), outcome.checkpoint())) {
          write(adapted.decoder(), outcome, milliseconds, file, key, prefixed);
        }
      } else {
        try (var model = Decoder.load(outcome.checkpoint())) {
          write(model, outcome, milliseconds, file, key, prefixed);
        }
      }
    }

    private void write(
        Decoder model,
        TrainRun.Outcome outcome,
        double milliseconds,
        Path file,
        String key,
        boolean prefixed) {
      var metrics = new LinkedHashMap<>(bed.evaluate(model, prefixed).metrics());
      metrics.put("cpu_ms_per_step", milliseconds / outcome.steps());
      var row =
          new RunRow(
              cell.arm().name(),
              metrics,
              bed.drift(model),
              outcome.tokensPerSecond(),
              outcome.seconds());
      new ArmResult(cell.rows(), seed, key, row).write(file);
      say(
          "  attack success %.1f %%, task %.1f %%"
              .formatted(100 * row.metric("asr"), 100 * row.metric("task_accuracy")));
    }
  }

  private static void createFolder(Path folder) {
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw HoldfastException.input("%s: cannot be created (%s)", folder, e.getMessage());
    }
  }
}
