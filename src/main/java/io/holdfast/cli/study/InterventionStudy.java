package io.holdfast.cli.study;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.eval.EvalSuite;
import io.holdfast.geometry.Basis;
import io.holdfast.geometry.LatentGuard;
import io.holdfast.geometry.Measurement;
import io.holdfast.geometry.Quadrants.Reply;
import io.holdfast.geometry.RefusalTrial.Limits;
import io.holdfast.model.Decoder;
import io.holdfast.report.Table;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.Progress;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/**
 * What interventions in one model do to its behaviour: a removal and an addition are chosen on the
 * prompts of the study, then run on a suite beside their controls.
 *
 * @param suite that effects are measured with
 * @param settings what is tried
 * @param fitted directions of a file; without them the carriers that the prompts show are taken
 */
public record InterventionStudy(
    EvalSuite suite, Settings settings, Optional<FittedDirections> fitted) {
  /**
   * What is tried.
   *
   * @param limits what a removal may cost, and how near the output directions are taken
   * @param random random directions a control
   * @param coefficients of the dose sweep
   * @param sweepLayers whether both are tried at every layer
   * @param inversion coefficient with which reply inversion is tried, if it is
   * @param seed of random directions
   */
  public record Settings(
      Limits limits,
      int random,
      List<Double> coefficients,
      boolean sweepLayers,
      Optional<Double> inversion,
      long seed) {}

  /** The result, with a table for readers and the direction that removals are about. */
  public record Result(ObjectNode json, Table effects, List<String> flags, Basis removed) {}

  /** Runs the study on a model whose prompts have been observed. */
  public Result run(
      Decoder model,
      ChatTokenizer chat,
      StudyPrompts prompts,
      Observed observed,
      Progress.Style style) {
    Measurement.requireEnough(observed.states(), 1);
    var directions = directions(model, observed);
    int suffix = chat.promptSuffix().length;
    var bench = new Workbench(model, observed, directions, suffix, settings.seed());
    var selection = Selection.of(bench, settings.limits());
    var plan =
        new Effects.Plan(
            directions.others(),
            settings.random(),
            bench.controls(),
            settings.coefficients(),
            settings.sweepLayers() ? directions.layers() : List.of());
    var conditions = Effects.conditions(selection, plan);
    var effects = new Effects(bench, chat, suite);
    var rows = new ArrayList<Effect>();
    try (var progress = Progress.start("intervene", conditions.size() + 1L, style)) {
      rows.add(effects.plain());
      for (var condition : conditions) {
        progress.at(rows.size(), condition.name());
        rows.add(effects.of(condition));
      }
      progress.at(rows.size(), "");
    }
    var flags = new ArrayList<>(observed.flags());
    flags.addAll(selection.flags());
    flags.add(explanation(bench, selection));
    var json = StudyFiles.object();
    json.setAll(StudyFiles.json(observed));
    json.set("flags", StudyFiles.strings(flags));
    json.set("latent_guard", guard(observed));
    fitted.ifPresent(file -> json.set("basis", file.json()));
    json.set("selection", StudyFiles.json(selection));
    var array = json.putArray("effects");
    rows.forEach(row -> array.add(StudyFiles.json(row)));
    settings
        .inversion()
        .ifPresent(
            coefficient ->
                json.set(
                    "reply_inversion",
                    new ReplyInversion(coefficient)
                        .run(bench, chat, prompts, selection.addition().condition().layer())));
    return new Result(
        json,
        new Table(Effect.HEAD, rows.stream().map(Effect::cells).toList()),
        flags,
        directions.subspace(directions.refusal(), selection.removal().condition().layer()));
  }

  private Directions directions(Decoder model, Observed observed) {
    return fitted
        .map(Directions.class::cast)
        .orElseGet(() -> Carriers.of(observed.states(), model.architecture().depth()));
  }

  /**
   * Where both classes stand along the carrier, which says what ablation can do: it puts every
   * prompt at zero, which need not be on the side of answered prompts.
   */
  private static String explanation(Workbench bench, Selection selection) {
    int layer = selection.removal().condition().layer();
    var directions = bench.directions();
    double[] unit = directions.carrier(directions.refusal(), layer).unit();
    double refused = along(bench, layer, Reply.REFUSED, unit);
    double complied = along(bench, layer, Reply.COMPLIED, unit);
    boolean answers = Math.abs(complied) <= Math.abs(refused);
    return String.format(
        Locale.ROOT,
        "along %s of layer %d refused prompts stand at %.1f and answered ones at %.1f: zero,"
            + " where ablation puts them all, is nearer the %s ones",
        directions.title(),
        layer,
        refused,
        complied,
        answers ? "answered" : "refused");
  }

  private static double along(Workbench bench, int layer, Reply reply, double[] unit) {
    var observed = bench.observed();
    var labels = observed.states().labels();
    double[][] states = observed.states().readout().promptEnd().at(layer);
    return IntStream.concat(
            IntStream.of(labels.cell(true, reply)), IntStream.of(labels.cell(false, reply)))
        .mapToDouble(
            row -> IntStream.range(0, unit.length).mapToDouble(i -> states[row][i] * unit[i]).sum())
        .average()
        .orElse(Double.NaN);
  }

  /** How often the latent guards are right on the very prompts they were made from. */
  private static ObjectNode guard(Observed observed) {
    var states = observed.states();
    var labels = states.labels();
    var harm = LatentGuard.ofHarm(states, 1);
    var refusal = LatentGuard.ofRefusal(states, 1);
    var json = StudyFiles.object();
    IntFunction<Boolean> flagged = i -> harm.score(states.readout().instructionEnd(), i) >= 0;
    IntFunction<Boolean> refused = i -> refusal.score(states.readout().promptEnd(), i) >= 0;
    json.put("harmful_flagged", share(labels.harmful(), true, flagged));
    json.put("benign_flagged", share(labels.harmful(), false, flagged));
    json.put("harmful_refusal_foreseen", share(labels.harmful(), true, refused));
    json.put("benign_refusal_foreseen", share(labels.harmful(), false, refused));
    return json;
  }

  private static double share(boolean[] harmful, boolean wanted, IntFunction<Boolean> test) {
    return IntStream.range(0, harmful.length)
        .filter(i -> harmful[i] == wanted)
        .mapToDouble(i -> test.apply(i) ? 1 : 0)
        .average()
        .orElse(0);
  }
}
