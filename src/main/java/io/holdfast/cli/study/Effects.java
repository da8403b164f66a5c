package io.holdfast.cli.study;

import io.holdfast.cli.Answers;
import io.holdfast.cli.study.Condition.Control;
import io.holdfast.cli.study.Condition.Method;
import io.holdfast.cli.study.Condition.Mode;
import io.holdfast.eval.EvalSuite;
import io.holdfast.geometry.PromptReadout;
import io.holdfast.geometry.Quadrants.Reply;
import io.holdfast.geometry.RefusalScore;
import io.holdfast.model.Tap;
import io.holdfast.text.ChatTokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/** Runs a suite on a model under interventions: what they do, and what their controls do. */
final class Effects {
  private static final int BATCH = 128;

  private final Workbench bench;
  private final ChatTokenizer chat;
  private final EvalSuite suite;

  Effects(Workbench bench, ChatTokenizer chat, EvalSuite suite) {
    this.bench = bench;
    this.chat = chat;
    this.suite = suite;
  }

  /**
   * Which interventions are tried beside those chosen.
   *
   * @param modes the carriers that both are tried with
   * @param random random directions a control
   * @param controls beside them
   * @param coefficients doses of the chosen addition, and of the removal where it is one
   * @param layers of the sweep; empty for the chosen one alone
   */
  record Plan(
      List<Mode> modes,
      int random,
      List<Control> controls,
      List<Double> coefficients,
      List<Integer> layers) {}

  /** All conditions of a plan, each once, the chosen ones first. */
  static List<Condition> conditions(Selection selection, Plan plan) {
    var removal = selection.removal().condition();
    var addition = selection.addition().condition();
    var all = new ArrayList<Condition>(List.of(removal, addition));
    for (var chosen : List.of(removal, addition)) {
      for (int i = 1; i <= plan.random(); i++) {
        all.add(chosen.with(Control.RANDOM, i));
        if (chosen.method() != Method.ADD) {
          all.add(chosen.with(Control.MATCHED, i));
        }
      }
      plan.controls().forEach(control -> all.add(chosen.with(control, 0)));
      plan.modes().forEach(mode -> all.add(chosen.with(mode)));
    }
    all.addAll(selection.removals());
    for (var chosen : List.of(removal, addition)) {
      if (chosen.method() == Method.ADD) {
        for (double dose : plan.coefficients()) {
          all.add(chosen.with(chosen.layer(), Math.copySign(dose, chosen.coefficient())));
        }
      }
      if (chosen.method() != Method.CENTRE) {
        plan.layers().forEach(layer -> all.add(chosen.with(layer, chosen.coefficient())));
      }
    }
    return all.stream().distinct().toList();
  }

  /** The model as it is. */
  Effect plain() {
    return run("none", Optional.empty(), Tap.NONE);
  }

  /** The model under an intervention. */
  Effect of(Condition condition) {
    return run(condition.name(), Optional.of(condition), List.of(bench.tap(condition)));
  }

  private Effect run(String name, Optional<Condition> condition, List<Tap> taps) {
    var answers = new Answers(bench.decoder(), taps, chat, suite.maxNewTokens(), BATCH);
    var report = suite.run(answers);
    var observed = bench.observed();
    var labels = observed.states().labels();
    float[][] before = observed.states().readout().logits();
    float[][] now = PromptReadout.of(bench.decoder(), taps, observed.prompts(), List.of()).logits();
    double[] scores = observed.score().of(now);
    double kl =
        IntStream.of(labels.cell(false, Reply.COMPLIED))
            .mapToDouble(i -> RefusalScore.divergence(before[i], now[i]))
            .average()
            .orElse(Double.NaN);
    return new Effect(
        name,
        condition,
        Effect.shares(suite, report),
        kl,
        mean(scores, labels.harmful(), true),
        mean(scores, labels.harmful(), false));
  }

  private static double mean(double[] scores, boolean[] harmful, boolean wanted) {
    int[] rows = IntStream.range(0, scores.length).filter(i -> harmful[i] == wanted).toArray();
    return Arrays.stream(rows).mapToDouble(i -> scores[i]).average().orElse(Double.NaN);
  }
}
