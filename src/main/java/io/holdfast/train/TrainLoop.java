package io.holdfast.train;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import io.holdfast.model.Decoder;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.RunAssembly.Assembled;
import io.holdfast.train.config.TrainConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * The course of a run: its steps, with checkpoints, evaluations and watches where they are due.
 *
 * @param evaluator runs the suite that the configuration names
 * @param geometry measures against the reference, where the configuration asks for it
 */
record TrainLoop(
    TrainConfig config,
    ChatTokenizer chat,
    Optional<Evaluator> evaluator,
    Optional<Function<Decoder, Evaluator>> geometry) {
  /** Runs to the end, or to an interrupt. */
  TrainRun.Outcome follow(Assembled run, Progress.Style style) {
    var watches = watches(run);
    try {
      return follow(run, watches, style);
    } finally {
      watches.forEach(Watch::close);
    }
  }

  private TrainRun.Outcome follow(Assembled run, List<Watch> watches, Progress.Style style) {
    var trainer = run.trainer();
    Path last = null;
    long tokens = 0;
    double seconds = 0;
    long total = trainer.plannedSteps();
    try (var interrupt = Interrupt.watch();
        var progress = Progress.start("train", trainer.steps(), total, style)) {
      evaluate(run, progress);
      watches.forEach(run::shownTo);
      while (!trainer.done()) {
        var report = step(run);
        run.folder().append(report);
        tokens += report.tokens();
        seconds += report.seconds();
        progress.at(
            report.step(), "loss %.4f, %.0f tokens/s".formatted(report.loss(), tokens / seconds));
        int every = config.checkpoint().every();
        boolean due = every > 0 && report.step() % every == 0;
        if (due || trainer.done() || interrupt.requested()) {
          last = run.save(!due && !trainer.done());
        }
        if (interrupt.requested() && !trainer.done()) {
          throw HoldfastException.interrupted(
              "interrupted after step %d of %d; saved %s. Go on with --resume.",
              report.step(), total, last);
        }
        evaluate(run, progress);
        watches.forEach(run::shownTo);
      }
    }
    if (last == null) {
      last = run.checkpoints().latest().orElseThrow();
    }
    return new TrainRun.Outcome(last, trainer.steps(), tokens, seconds);
  }

  private List<Watch> watches(Assembled run) {
    var model = run.model();
    var watches = new ArrayList<Watch>();
    DriftWatch.of(config, model, run.modelHash(), chat, run.examples()).ifPresent(watches::add);
    geometry.ifPresent(
        of -> {
          var reference = model.reference().decoder();
          var start = config.adapter().isEmpty() ? reference : model.decoder();
          int every = config.geometry().orElseThrow().every();
          watches.add(new GeometryWatch(of.apply(reference), start, chat, every));
        });
    return watches;
  }

  /** Runs the suite where it is due and has not been run, which after a resume it may have. */
  private void evaluate(Assembled run, Progress progress) {
    long step = run.trainer().steps();
    if (evaluator.isEmpty() || step == 0 || run.folder().lastEvaluated() >= step) {
      return;
    }
    if (step % config.eval().orElseThrow().every() == 0 || run.trainer().done()) {
      progress.say("evaluating after step %d".formatted(step));
      run.folder().append(step, evaluator.get().evaluate(run.model().decoder(), chat));
    }
  }

  private static StepReport step(Assembled run) {
    try {
      return run.trainer().step();
    } catch (HoldfastException e) {
      if (e.exitCode() != ExitCode.DIVERGED) {
        throw e;
      }
      var good = run.checkpoints().latest().map(Path::toString).orElse("none was written yet");
      throw HoldfastException.diverged("%s Last good checkpoint: %s.", e.getMessage(), good)
          .causedBy(e);
    }
  }
}
