package io.holdfast.train;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.Sha256;
import io.holdfast.data.Example;
import io.holdfast.data.ExampleReader;
import io.holdfast.data.Examples;
import io.holdfast.guard.Guard;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels;
import io.holdfast.model.Decoder;
import io.holdfast.risk.RowRisks;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.torch.ComputeDevice;
import io.holdfast.torch.LibTorch;
import io.holdfast.torch.Threads;
import io.holdfast.train.config.GuardConfig;
import io.holdfast.train.config.GuardConfig.Direction;
import io.holdfast.train.config.Method;
import io.holdfast.train.config.TrainConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * One run of {@code train}, from a configuration to the last checkpoint: loads what it names, puts
 * the trainer together, and keeps the run folder.
 */
public final class TrainRun {
  private static final ObjectMapper JSON = new ObjectMapper();

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
    int threads = config.threads().orElse(Runtime.getRuntime().availableProcessors());
    Threads.set(threads);
    KernelBackends.threads(threads);
    var device = ComputeDevice.use(config.device());
    var kernels = device.kernels();
    try (var chat = ChatTokenizer.load(config.model())) {
      var from = start(config, resume);
      var dataHash = Sha256.of(config.data().train());
      var read = TrainingData.read(config, chat, dataHash);
      if (read.cut() > 0 && style != Progress.Style.NONE) {
        System.err.printf(
            "holdfast: %d rows were cut to %d tokens, %d of them had nothing left to learn and were"
                + " left out%n",
            read.cut(), config.data().maxLength(), read.dropped());
      }
      return new Assembled(config, kernels, chat, read, dataHash, evaluator, geometry)
          .train(from, style);
    }
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

  /** Everything a run needs, with the order in which it is closed. */
  private record Assembled(
      TrainConfig config,
      Kernels kernels,
      ChatTokenizer chat,
      ExampleReader.Result read,
      String dataHash,
      Optional<Evaluator> evaluator,
      Optional<Function<Decoder, Evaluator>> geometry) {
    Outcome train(Optional<Path> from, Progress.Style style) {
      var modelHash = modelHash(config.model());
      try (var model = TunedModel.of(config, modelHash)) {
        requireKnownTokens(model.decoder().architecture().vocabulary());
        var checkpoints = new Checkpoints(config.output(), config.checkpoint().keep());
        var folder =
            from.map(path -> Checkpoints.state(path).get("step").asLong())
                .map(step -> RunFolder.resume(config, step))
                .orElseGet(() -> RunFolder.create(config));
        return train(model, modelHash, checkpoints, folder, from, style);
      }
    }

    private void requireKnownTokens(int vocabulary) {
      for (var example : read.examples()) {
        for (int id : example.ids()) {
          if (id >= vocabulary) {
            throw HoldfastException.input(
                "%s: token %d, but the model's vocabulary ends at %d; the row was tokenized for"
                    + " another model, or tokenizer.json is not this model's",
                example.place(), id, vocabulary - 1);
          }
        }
      }
    }

    private Outcome train(
        TunedModel model,
        String modelHash,
        Checkpoints checkpoints,
        RunFolder folder,
        Optional<Path> from,
        Progress.Style style) {
      var reference = model.reference();
      var assembly =
          new GuardAssembly(
              config.guard(),
              reference.decoder(),
              modelHash,
              TrainingData.prompts(config, chat),
              kernels,
              GuardAssembly.folder(folder.path()),
              config.batchSize(),
              config.seed());
      var anchors = assembly.anchors();
      try (var risk = RiskAssembly.of(config, modelHash, model, chat.tokenizer(), style)) {
        var rows = risk.rows(read.examples());
        var kept = new ReferenceFiles(config, reference, modelHash, dataHash);
        var guards = new ArrayList<>(assembly.guards(rows, anchors, dataHash));
        kept.tokenConstraint(rows).ifPresent(guards::add);
        if (config.method() instanceof Method.R2d2 r2d2) {
          guards.add(new R2d2(r2d2, chat, kernels, config.seed()));
        }
        var windows = Windows.of(config, rows, Examples.lengths(read.examples()));
        int steps = config.totalSteps(windows.stepsPerEpoch());
        folder.describe(config, manifest(modelHash, dataHash, guards, risk, anchors.size(), steps));
        try (var states = kept.states(rows, anchors);
            var optimizer = new Adamw(kernels, adamw(), model.parameters(), model.rounded())) {
          var trainer =
              trainer(model, windows, optimizer, guards, risk.flow(), states, anchors, steps);
          var saved = new GuardedModel(model, guards);
          from.ifPresent(path -> trainer.resume(Checkpoints.restore(path, saved, optimizer)));
          var watches = watches(model, modelHash);
          try {
            return loop(trainer, model, saved, optimizer, checkpoints, folder, watches, style);
          } finally {
            watches.forEach(Watch::close);
          }
        } finally {
          guards.forEach(Guard::close);
        }
      }
    }

    private List<Watch> watches(TunedModel model, String modelHash) {
      var watches = new ArrayList<Watch>();
      DriftWatch.of(config, model, modelHash, chat, read.examples()).ifPresent(watches::add);
      geometry.ifPresent(
          of -> {
            var reference = model.reference().decoder();
            var start = config.adapter().isEmpty() ? reference : model.decoder();
            int every = config.geometry().orElseThrow().every();
            watches.add(new GeometryWatch(of.apply(reference), start, chat, every));
          });
      return watches;
    }

    private Trainer trainer(
        TunedModel model,
        Windows windows,
        Adamw optimizer,
        List<Guard> guards,
        RowRisks risks,
        ReferenceStates reference,
        List<Example> anchors,
        int steps) {
      int anchorBatch =
          config
              .guard()
              .subspace()
              .flatMap(GuardConfig.Subspace::anchorBatch)
              .orElse(config.batchSize());
      int pad = chat.tokenizer().endOfText().isEmpty() ? 0 : chat.tokenizer().endOfText().first();
      var direction =
          switch (config.guard().kl().map(GuardConfig.Kl::direction).orElse(Direction.FORWARD)) {
            case FORWARD -> Kernels.KlDirection.FORWARD;
            case REVERSE -> Kernels.KlDirection.REVERSE;
          };
      return new Trainer(
          new Trainer.Plan(
              steps,
              config.clipNorm(),
              anchorBatch,
              pad,
              config.seed(),
              config.activationCheckpointing(),
              config.labelSmoothing()),
          model.decoder(),
          windows,
          new Schedule(
              config.optimizer().lr(),
              config.schedule().warmupSteps(),
              steps,
              config.schedule().decay()),
          optimizer,
          guards,
          risks,
          reference,
          direction,
          anchors,
          kernels);
    }

    private Outcome loop(
        Trainer trainer,
        TunedModel model,
        GuardedModel saved,
        Adamw optimizer,
        Checkpoints checkpoints,
        RunFolder folder,
        List<Watch> watches,
        Progress.Style style) {
      Path last = null;
      long tokens = 0;
      double seconds = 0;
      long total = trainer.plannedSteps();
      try (var interrupt = Interrupt.watch();
          var progress = Progress.start("train", trainer.steps(), total, style)) {
        evaluate(trainer, model, folder, progress);
        watches.forEach(watch -> watch.look(trainer, model, optimizer, folder));
        while (!trainer.done()) {
          var report = step(trainer, checkpoints);
          folder.append(report);
          tokens += report.tokens();
          seconds += report.seconds();
          progress.at(
              report.step(), "loss %.4f, %.0f tokens/s".formatted(report.loss(), tokens / seconds));
          int every = config.checkpoint().every();
          boolean due = every > 0 && report.step() % every == 0;
          if (due || trainer.done() || interrupt.requested()) {
            boolean interim = !due && !trainer.done();
            last = checkpoints.save(saved, optimizer, trainer.state(), interim);
          }
          if (interrupt.requested() && !trainer.done()) {
            throw HoldfastException.interrupted(
                "interrupted after step %d of %d; saved %s. Go on with --resume.",
                report.step(), total, last);
          }
          evaluate(trainer, model, folder, progress);
          watches.forEach(watch -> watch.look(trainer, model, optimizer, folder));
        }
      }
      if (last == null) {
        last = checkpoints.latest().orElseThrow();
      }
      return new Outcome(last, trainer.steps(), tokens, seconds);
    }

    /** Runs the suite where it is due and has not been run, which after a resume it may have. */
    private void evaluate(Trainer trainer, TunedModel model, RunFolder folder, Progress progress) {
      long step = trainer.steps();
      if (evaluator.isEmpty() || step == 0 || folder.lastEvaluated() >= step) {
        return;
      }
      if (step % config.eval().orElseThrow().every() == 0 || trainer.done()) {
        progress.say("evaluating after step %d".formatted(step));
        folder.append(step, evaluator.get().evaluate(model.decoder(), chat));
      }
    }

    private static StepReport step(Trainer trainer, Checkpoints checkpoints) {
      try {
        return trainer.step();
      } catch (HoldfastException e) {
        if (e.exitCode() != ExitCode.DIVERGED) {
          throw e;
        }
        var good = checkpoints.latest().map(Path::toString).orElse("none was written yet");
        throw HoldfastException.diverged("%s Last good checkpoint: %s.", e.getMessage(), good)
            .causedBy(e);
      }
    }

    private Adamw.Settings adamw() {
      var optimizer = config.optimizer();
      return new Adamw.Settings(
          optimizer.betas().get(0),
          optimizer.betas().get(1),
          optimizer.eps(),
          optimizer.weightDecay());
    }

    private ObjectNode manifest(
        String modelHash,
        String dataHash,
        List<Guard> guards,
        RiskAssembly risk,
        int anchors,
        int steps) {
      var manifest = JSON.createObjectNode();
      manifest.put("holdfast", TrainingData.version());
      manifest.put("java", Runtime.version().toString());
      manifest.put("device", ComputeDevice.current().name());
      manifest.put("kernels", kernels.name());
      manifest.put("blas", LibTorch.BLAS);
      manifest.put("threads", Threads.get());
      manifest.put("model_sha256", modelHash);
      manifest.put("data_sha256", dataHash);
      manifest.put("examples", read.examples().size());
      manifest.put("anchors", anchors);
      manifest.put("steps", steps);
      manifest.put("seed", config.seed());
      read.examples().stream()
          .filter(example -> example.instructionEnd() >= 0)
          .findFirst()
          .ifPresent(
              example ->
                  manifest.put(
                      "template_suffix_tokens", example.promptEnd() - example.instructionEnd()));
      var formulas = manifest.putArray("guards");
      guards.forEach(guard -> formulas.add(guard.name()));
      risk.name().ifPresent(name -> manifest.put("risk", name));
      return manifest;
    }
  }

  private static String modelHash(Path folder) {
    try (var files = ModelFolder.open(folder)) {
      return files.hash();
    }
  }
}
