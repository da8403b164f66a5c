package io.holdfast.cli.study;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.attack.AttackCase;
import io.holdfast.attack.AttackCases;
import io.holdfast.attack.AttackRun;
import io.holdfast.attack.Gcg;
import io.holdfast.attack.GcgMethod;
import io.holdfast.attack.GcgSettings;
import io.holdfast.attack.GcgSettings.Search;
import io.holdfast.attack.GcgSettings.Stop;
import io.holdfast.attack.Replay;
import io.holdfast.attack.TestCases;
import io.holdfast.attack.TransferMatrix;
import io.holdfast.attack.TransferMatrix.Pair;
import io.holdfast.checkpoint.Sha256;
import io.holdfast.eval.EvalSuite;
import io.holdfast.eval.Judge;
import io.holdfast.eval.Measure;
import io.holdfast.eval.Tally;
import io.holdfast.torch.ComputeDevice;
import io.holdfast.train.Interrupt;
import io.holdfast.train.Progress;
import io.holdfast.train.config.ProtocolConfig;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Strings that GCG finds on some checkpoints, replayed on all. Test cases are kept in the study's
 * folder in HarmBench's form, a search under way with its state.
 */
record TransferStudy(
    StudyContext context, ProtocolConfig.Transfer settings, long seed, Progress.Style style) {
  private static final int BATCH = 64;
  private static final int ASK_EVERY = 5;

  /** The matrix of attack success, {@code cells} of source and target. */
  ObjectNode run(List<Checkpoint> sources, List<Checkpoint> targets) {
    var cases =
        AttackCases.read(settings.cases(), Optional.empty(), settings.target()).stream()
            .limit(settings.limit())
            .toList();
    var judge =
        EvalSuite.prompts("transfer", Measure.ASR, settings.cases(), settings.judge(), 1).judge();
    var matrix = new TransferMatrix();
    for (var source : sources) {
      var found = TestCases.read(attacked(source, cases, judge));
      for (var target : targets) {
        var cell =
            context.with(
                target,
                "transfer-" + source.name() + "-on-" + target.name(),
                settings + found.toString(),
                decoder -> {
                  var replay = new Replay(judge, settings.maxNewTokens(), BATCH);
                  var one = new TransferMatrix();
                  one.put(
                      new Pair(source.name(), target.name()),
                      Replay.tally(replay.answers(decoder, context.chat(), cases, found)));
                  return one.json();
                });
        cell.get("cells").forEach(c -> matrix.put(pair(c), tally(c)));
      }
    }
    return matrix.json();
  }

  private static Pair pair(JsonNode cell) {
    return new Pair(cell.get("source").asText(), cell.get("target").asText());
  }

  private static Tally tally(JsonNode cell) {
    return new Tally(
        cell.get("comply").asInt(), cell.get("refuse").asInt(), cell.get("other").asInt());
  }

  /** The folder of the attack on a model, gone on with where it was interrupted. */
  private Path attacked(Checkpoint source, List<AttackCase> cases, Judge judge) {
    var gcg = gcgSettings();
    var about = StudyFiles.object().put("attack", "gcg").put("model_sha256", source.hash());
    about.put("cases", cases.toString()).put("settings", gcg.toString());
    var folder =
        context
            .stages()
            .folder()
            .resolveSibling("attacks")
            .resolve(Sha256.of(source.name() + about).substring(0, 16));
    if (folder.resolve("summary.json").toFile().exists()
        && TestCases.read(folder).size() == cases.size()) {
      return folder;
    }
    try (var model = source.load();
        var attack =
            new Gcg(
                model,
                context.chat(),
                ComputeDevice.current().kernels(),
                gcg,
                judge,
                Optional.empty());
        var interrupt = Interrupt.watch();
        var progress = Progress.start("attack", (long) cases.size() * settings.steps(), style)) {
      AttackRun.in(folder, about, true, 10, new GcgMethod(attack, judge, settings.maxNewTokens()))
          .run(
              cases.stream().map(List::of).toList(),
              interrupt::requested,
              (group, step, loss) -> progress.at((long) group * settings.steps() + step, ""));
    }
    return folder;
  }

  /** Ends where the model would say the target, or complied otherwise. */
  private GcgSettings gcgSettings() {
    var base = GcgSettings.nanoGcg();
    var search = base.search().with(settings.width(), settings.topk());
    return base.withSteps(settings.steps())
        .withInit(settings.init().orElse(base.init()))
        .withSeed(seed)
        .with(settings.forbid().map(Search::words).map(search::withForbidden).orElse(search))
        .with(new Stop(true, ASK_EVERY, Double.POSITIVE_INFINITY, settings.maxNewTokens()));
  }

  /** Adds to each checkpoint of a trajectory how well the reference's strings work on it. */
  static void addTo(Trajectory trajectory, ObjectNode matrix) {
    for (var point : trajectory.points()) {
      for (var cell : matrix.get("cells")) {
        if (cell.get("source").asText().equals("reference")
            && cell.get("target").equals(point.get("checkpoint"))) {
          var figure = StudyFiles.object().put("measure", "transfer_asr");
          figure.set("value", cell.get("asr"));
          figure.set("low", cell.get("asr_low"));
          figure.set("high", cell.get("asr_high"));
          point.withArray("figures").add(figure);
        }
      }
    }
  }
}
