package io.holdfast.cli.demo;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.cli.Holdfast;
import io.holdfast.eval.WorldEvaluation;
import io.holdfast.report.RunRow;
import io.holdfast.torch.Threads;
import io.holdfast.train.Progress;
import io.holdfast.world.World;
import java.io.PrintWriter;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.util.ArrayList;
import java.util.List;
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

  @Option(names = "--quick", description = "Few prompts, to see that all runs.")
  private boolean quick;

  @Option(names = "--table", description = "Only print the table of what has been done.")
  private boolean table;

  @Option(names = "--list", description = "Only say what would run.")
  private boolean list;

  private final List<HoldfastException> failures = new ArrayList<>();

  @Override
  public void run() {
    var arms = ArmList.load(file);
    var chosen = arms.cells().stream().filter(this::chosen).toList();
    var stdout = spec.commandLine().getOut();
    if (list) {
      chosen.forEach(cell -> stdout.println(cell.id()));
      return;
    }
    if (table) {
      report(arms, stdout);
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
    if (!failures.isEmpty()) {
      throw failures.getFirst();
    }
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
    var sizes = quick ? new WorldEvaluation.Sizes(4, 2, 4) : WorldEvaluation.Sizes.STANDARD;
    var judges = new WorldEvaluation(world, sizes, evaluationSeed, "");
    try (var alone = FolderLock.of(folder);
        var bed = new TestBed(world, base, folder.resolve("data"), seed, judges)) {
      for (var rows : chosen.stream().map(ArmList.Cell::rows).distinct().toList()) {
        judgeBase(rows, arms.rows().get(rows), bed, folder, seed);
      }
      for (var cell : chosen) {
        run(new ArmRun(arms, cell, bed, folder, seed));
      }
    }
  }

  /** An arm that fails is left out of the table, and the others go on. */
  private void run(ArmRun arm) {
    var result = arm.result();
    if (result.done()) {
      say(arm + ": done before");
      return;
    }
    say(arm.toString());
    try {
      var row = arm.run(result);
      say(
          "  attack success %.1f %%, task %.1f %%"
              .formatted(100 * row.metric("asr"), 100 * row.metric("task_accuracy")));
    } catch (HoldfastException e) {
      if (e.exitCode() == ExitCode.INTERRUPTED) {
        throw e;
      }
      failures.add(HoldfastException.diverged("%s: %s", arm, e.getMessage()).causedBy(e));
      say("  failed: " + e.getMessage());
    }
  }

  /** The base itself, once for each kind of rows. */
  private static void judgeBase(
      String name, ArmList.Rows rows, TestBed bed, Path folder, long seed) {
    var file = ArmRun.file(folder, name + "/base");
    var key = "base, " + bed.judges();
    if (ArmResult.read(file).filter(r -> r.key().equals(key)).isEmpty()) {
      var metrics = bed.evaluate(bed.reference(), rows.identityShift()).metrics();
      new ArmResult(name, seed, key, new RunRow("base", metrics, 0, 0, 0)).write(file);
    }
  }

  private void report(ArmList arms, PrintWriter stdout) {
    var table = new ComparisonTable();
    for (var rows : arms.rows().keySet()) {
      seeds.forEach(
          seed ->
              ArmResult.read(ArmRun.file(out.resolve("seed-" + seed), rows + "/base"))
                  .ifPresent(table::add));
      for (var cell : arms.cells()) {
        for (long seed : seeds) {
          if (cell.rows().equals(rows)) {
            ArmResult.read(ArmRun.file(out.resolve("seed-" + seed), cell.id()))
                .ifPresent(table::add);
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
}
