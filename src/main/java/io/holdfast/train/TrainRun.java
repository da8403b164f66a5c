package io.holdfast.train;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.Sha256;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.model.Architecture;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.torch.ComputeDevice;
import io.holdfast.torch.Tensors;
import io.holdfast.torch.Threads;
import io.holdfast.train.config.TrainConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.function.Function;

/**
 * One run of {@code train}, from a configuration to the last checkpoint: loads what it names, puts
 * the trainer together, and keeps the run folder.
 */
public final class TrainRun {
  private TrainRun() {}

  /**
   * What came of a run.
   *
   * @param checkpoint the last one
   * @param steps done
   * @param tokens read in this process
   * @param seconds spent in steps
   */
  public record Outcome(Path checkpoint, long steps, long tokens, double seconds) {
    /** Rate of training. */
    public double tokensPerSecond() {
      return seconds == 0 ? 0 : tokens / seconds;
    }
  }

  /**
   * Trains.
   *
   * @param resume whether to go on from the latest checkpoint of the run folder
   * @param suites reads the suite that the configuration names, if it names one
   * @throws HoldfastException that says what to do: bad input, divergence (with the last good
   *     checkpoint), or an interrupt (with the checkpoint that was written)
   */
  public static Outcome run(
      TrainConfig config, boolean resume, Progress.Style style, Evaluator.Loader suites) {
    check(config);
    var evaluator = config.eval().map(eval -> suites.load(eval.suite()));
    var geometry = config.geometry().map(suites::geometry);
    var from = start(config, resume);
    return assembled(
        config,
        style,
        assembly -> {
          var loop = new TrainLoop(config, assembly.chat(), evaluator, geometry);
          return assembly.with(from, style, run -> loop.follow(run, style));
        });
  }

  /** Trains where the configuration names no suite. */
  public static Outcome run(TrainConfig config, boolean resume, Progress.Style style) {
    return run(
        config,
        resume,
        style,
        suite -> {
          throw new IllegalArgumentException("nobody here reads suites such as " + suite);
        });
  }

  /**
   * The beginning of a run.
   *
   * @param shape of the model
   * @param trained shapes of what the optimizer moves, by name
   * @param steps as they went
   */
  public record Trial(
      Architecture shape, SequencedMap<String, long[]> trained, List<StepReport> steps) {}

  /**
   * The first steps of a run, for measuring them: no checkpoint, no evaluation. What guards prepare
   * goes to the run's output folder, which is the caller's to delete.
   *
   * @param steps at most; fewer where the run has fewer
   */
  public static Trial trial(TrainConfig config, int steps, Progress.Style style) {
    check(config);
    RunFolder.requireFree(config.output());
    return assembled(
        config,
        style,
        assembly ->
            assembly.with(
                Optional.empty(),
                style,
                run -> {
                  var trainer = run.trainer();
                  var reports = new ArrayList<StepReport>();
                  while (reports.size() < steps && !trainer.done()) {
                    reports.add(trainer.step());
                  }
                  var trained = new LinkedHashMap<String, long[]>();
                  run.model()
                      .parameters()
                      .forEach((name, tensor) -> trained.put(name, Tensors.shape(tensor)));
                  return new Trial(run.model().decoder().architecture(), trained, reports);
                }));
  }

  /**
   * Checks what can be checked before anything is loaded.
   *
   * @throws HoldfastException for what this version does not train, or a file that is not there
   */
  public static void check(TrainConfig config) {
    ComputeDevice.use(config.device());
    config.requireFiles();
  }

  /**
   * The checkpoint that a resumed run goes on from, known before hours are spent on its data.
   *
   * @throws HoldfastException if there is none, or if a new run would write over another
   */
  private static Optional<Path> start(TrainConfig config, boolean resume) {
    if (!resume) {
      RunFolder.requireFree(config.output());
      return Optional.empty();
    }
    var latest = new Checkpoints(config.output(), config.checkpoint().keep()).latest();
    if (latest.isEmpty()) {
      throw HoldfastException.usage(
          "--resume: %s holds no checkpoint; start without --resume, in a folder of its own",
          config.output());
    }
    return latest;
  }

  private static <T> T assembled(
      TrainConfig config, Progress.Style style, Function<RunAssembly, T> use) {
    int threads = config.threads().orElse(Runtime.getRuntime().availableProcessors());
    Threads.set(threads);
    KernelBackends.threads(threads);
    var kernels = ComputeDevice.use(config.device()).kernels();
    try (var chat = ChatTokenizer.load(config.model())) {
      var dataHash = Sha256.of(config.data().train());
      var read = TrainingData.read(config, chat, dataHash);
      if (read.cut() > 0 && style != Progress.Style.NONE) {
        System.err.printf(
            "holdfast: %d rows were cut to %d tokens, %d of them had nothing left to learn and were"
                + " left out%n",
            read.cut(), config.data().maxLength(), read.dropped());
      }
      return use.apply(new RunAssembly(config, kernels, chat, read, dataHash));
    }
  }
}
