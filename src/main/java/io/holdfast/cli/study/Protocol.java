package io.holdfast.cli.study;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.checkpoint.AtomicFolder;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.Sha256;
import io.holdfast.eval.EvalSuite;
import io.holdfast.geometry.RefusalScore;
import io.holdfast.geometry.RefusalTrial.Limits;
import io.holdfast.model.Architecture;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.Checkpoints;
import io.holdfast.train.Evaluator;
import io.holdfast.train.Progress;
import io.holdfast.train.TrainRun;
import io.holdfast.train.config.ProtocolConfig;
import io.holdfast.train.config.TrainConfig;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * The whole study on any checkpoints: regimes are trained, their checkpoints measured beside the
 * reference and its anchors, carriers removed and added in the reference and at the end of each
 * regime, and attack strings replayed across them. Every part is kept, so that a study that was
 * interrupted goes on where it stopped.
 */
public final class Protocol {
  private final ProtocolConfig config;
  private final Evaluator.Loader suites;
  private final Progress.Style style;
  private final Consumer<String> say;

  /**
   * A study.
   *
   * @param suites reads the suites that trainings run
   * @param say tells the user what is going on
   */
  public Protocol(
      ProtocolConfig config, Evaluator.Loader suites, Progress.Style style, Consumer<String> say) {
    this.config = config;
    this.suites = suites;
    this.style = style;
    this.say = say;
  }

  /** Runs what has not been run, and writes results.json, results.csv, report.html and plots/. */
  public ObjectNode run() {
    var runs = new LinkedHashMap<String, Path>();
    config.regimes().forEach((name, regime) -> runs.put(name, trained(name, regime)));
    var reference = new Checkpoint("reference", config.model(), config.model());
    try (var chat = ChatTokenizer.load(config.model());
        var context =
            new StudyContext(
                reference,
                StudyPrompts.read(config.prompts()),
                MeasureStudy.of(
                    config.measures(),
                    Optional.of(EvalSuite.load(config.suite())),
                    chat,
                    config.prompts().maxNewTokens(),
                    config.seed()),
                score(),
                config.output().resolve("parts"))) {
      var result = study(context, runs);
      AtomicFile.write(config.output().resolve("results.json"), result.toPrettyString() + "\n");
      AtomicFile.write(config.output().resolve("results.csv"), ProtocolPage.csv(result));
      var page = ProtocolPage.of(result);
      AtomicFile.write(config.output().resolve("report.html"), page.html());
      var plots = config.output().resolve("plots");
      StudyFiles.make(plots);
      page.plots().forEach((name, svg) -> AtomicFile.write(plots.resolve(name), svg));
      return result;
    }
  }

  private ObjectNode study(StudyContext context, Map<String, Path> runs) {
    var result = StudyFiles.object();
    result.put("reference", config.model().toString());
    say.accept("measuring the reference");
    result.set("measured", context.measure(context.reference()));
    var anchors = result.putArray("anchors");
    config
        .anchors()
        .forEach(
            (name, folder) -> {
              say.accept("measuring " + name);
              anchors.add(context.measure(new Checkpoint(name, folder, config.model())));
            });
    var ends = new ArrayList<>(List.of(context.reference()));
    var regimes = result.putArray("regimes");
    var trajectories = new ArrayList<Trajectory>();
    runs.forEach(
        (name, folder) -> {
          say.accept("following " + name);
          var checkpoints = Trajectory.checkpoints(name, folder, config.model());
          trajectories.add(Trajectory.follow(name, checkpoints, context));
          checkpoints.stream().reduce((_, last) -> last).ifPresent(ends::add);
        });
    var interventions = result.putArray("interventions");
    for (var end : ends) {
      say.accept("intervening in " + end.name());
      interventions.add(intervened(context, end));
    }
    config
        .transfer()
        .ifPresent(
            settings -> {
              say.accept("attacking");
              var everywhere =
                  Stream.concat(
                          Stream.of(context.reference()),
                          runs.entrySet().stream()
                              .flatMap(
                                  r ->
                                      Trajectory.checkpoints(
                                          r.getKey(), r.getValue(), config.model())
                                          .stream()))
                      .toList();
              var matrix =
                  new TransferStudy(context, settings, config.seed(), style).run(ends, everywhere);
              result.set("transfer", matrix);
              trajectories.forEach(t -> TransferStudy.addTo(t, matrix));
            });
    int draws = config.measures().draws();
    trajectories.forEach(t -> regimes.add(t.json(draws, config.seed())));
    return result;
  }

  private ObjectNode intervened(StudyContext context, Checkpoint checkpoint) {
    var i = config.interventions();
    var settings =
        new InterventionStudy.Settings(
            new Limits(i.maxKl(), Limits.PAPER.induce(), i.deepest()),
            i.random(),
            i.coefficients(),
            i.sweepLayers(),
            i.inversion(),
            config.seed());
    var suite = context.measures().suite().orElseThrow();
    var study = new InterventionStudy(suite, settings, Optional.empty());
    return context.with(
        checkpoint,
        "intervene-" + checkpoint.name(),
        settings.toString(),
        decoder -> {
          var observed = context.observed(decoder);
          var json = StudyFiles.object().put("checkpoint", checkpoint.name());
          json.setAll(
              study.run(decoder, context.chat(), context.prompts(), observed, style).json());
          return json;
        });
  }

  /** The run folder of a regime, trained first where it is not there. */
  private Path trained(String name, ProtocolConfig.Regime regime) {
    if (regime.run().isPresent()) {
      return regime.run().get();
    }
    var training = TrainConfig.load(regime.train().orElseThrow(), List.of());
    training.requireFiles();
    var stages = new Stages(config.output().resolve("parts"));
    var key = training.toYaml() + Sha256.of(training.data().train()) + hash(training);
    var begun = stages.kept("begun-" + name, key).isPresent();
    if (stages.kept("train-" + name, key).isPresent() && Files.isDirectory(training.output())) {
      return training.output();
    }
    say.accept("training " + name);
    stages.keep("begun-" + name, key, StudyFiles.object());
    boolean resume =
        begun
            && new Checkpoints(training.output(), training.checkpoint().keep())
                .latest()
                .isPresent();
    if (begun && !resume && Files.isDirectory(training.output())) {
      // What this study began and was killed before its first checkpoint is worth nothing.
      AtomicFolder.delete(training.output());
    }
    var outcome = TrainRun.run(training, resume, style, suites);
    stages.keep(
        "train-" + name,
        key,
        StudyFiles.object().put("checkpoint", outcome.checkpoint().toString()));
    return training.output();
  }

  private static String hash(TrainConfig training) {
    try (var files = ModelFolder.open(training.model())) {
      return files.hash();
    }
  }

  private Optional<RefusalScore> score() {
    var tokens = config.prompts().refusalTokens();
    try (var files = ModelFolder.open(config.model())) {
      return RefusalScore.given(
          tokens, Architecture.of(files.config(), config.model()).vocabulary());
    }
  }
}
