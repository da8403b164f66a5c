package io.holdfast.cli.study;

import io.holdfast.cli.study.Condition.Method;
import io.holdfast.cli.study.Condition.Mode;
import io.holdfast.data.Example;
import io.holdfast.geometry.PromptReadout;
import io.holdfast.geometry.Quadrants.Reply;
import io.holdfast.geometry.Reach;
import io.holdfast.geometry.RefusalScore;
import io.holdfast.model.Tap;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Which intervention removes refusal, and which adds it, chosen before anything is generated from
 * the first token of the answer alone, with the filters of Arditi et al. 2024: a removal must leave
 * benign prompts nearly as they were, an addition must make them refused. Every candidate and its
 * scores are kept.
 *
 * @param candidates in the order tried
 * @param removal the removal chosen
 * @param addition the addition chosen
 * @param flags what a reader must know of the choice
 */
record Selection(
    List<Candidate> candidates, Candidate removal, Candidate addition, List<String> flags) {
  /** Removals that bypass refusal, the cheapest first; then the others, the nearest first. */
  private static final Comparator<Candidate> CHEAPEST =
      Comparator.comparing((Candidate c) -> Math.max(0, c.bypass())).thenComparing(Candidate::kl);

  private static final List<Double> DOSES = List.of(1.0, 1.5, 2.0);

  /**
   * A candidate.
   *
   * @param bypass mean refusal score of refused harmful prompts; low is what a removal wants
   * @param induce mean refusal score of answered benign prompts; high is what an addition wants
   * @param kl mean KL of the next token on answered benign prompts, nats
   */
  record Candidate(Condition condition, boolean removes, double bypass, double induce, double kl) {}

  /**
   * Tries the methods at every layer.
   *
   * @param deepest share of the blocks beyond which a carrier is part of the prediction already
   * @param maxKl what a removal may cost
   */
  static Selection of(Workbench bench, double deepest, double maxKl) {
    int depth = bench.decoder().architecture().depth();
    var layers = bench.layers().stream().filter(l -> l < (int) Math.ceil(deepest * depth)).toList();
    var trial = new Trial(bench);
    var candidates = new ArrayList<Candidate>();
    for (var tokens : List.of(Reach.Tokens.ALL, Reach.Tokens.TEMPLATE)) {
      candidates.add(
          trial.score(Condition.of(Mode.R, Method.CENTRE, tokens, layers.getLast(), 1), true));
      for (int layer : layers) {
        candidates.add(trial.score(Condition.of(Mode.R, Method.ABLATE, tokens, layer, 1), true));
        for (double dose : DOSES) {
          candidates.add(trial.score(Condition.of(Mode.R, Method.ADD, tokens, layer, -dose), true));
          candidates.add(trial.score(Condition.of(Mode.R, Method.ADD, tokens, layer, dose), false));
        }
      }
    }
    var flags = new ArrayList<String>();
    var removals = candidates.stream().filter(Candidate::removes).toList();
    var fit = removals.stream().filter(c -> c.kl() <= maxKl && c.induce() < 0).toList();
    if (fit.isEmpty()) {
      flags.add(
          "no removal keeps the KL on benign prompts below %s: the one that costs least among those"
                  .formatted(maxKl)
              + " that bypass refusal was taken");
    }
    var removal =
        fit.isEmpty()
            ? removals.stream().min(CHEAPEST).orElseThrow()
            : fit.stream().min(Comparator.comparing(Candidate::bypass)).orElseThrow();
    var addition =
        candidates.stream()
            .filter(c -> !c.removes())
            .max(Comparator.comparing(Candidate::induce))
            .orElseThrow();
    if (addition.induce() < 0) {
      flags.add("no addition makes a refusal of benign prompts more likely than not");
    }
    return new Selection(List.copyOf(candidates), removal, addition, List.copyOf(flags));
  }

  /** The best removal of each method and reach, the one chosen among them. */
  List<Condition> removals() {
    var best = new ArrayList<Condition>();
    for (var method : Method.values()) {
      for (var tokens : List.of(Reach.Tokens.ALL, Reach.Tokens.TEMPLATE)) {
        candidates.stream()
            .filter(
                c ->
                    c.removes()
                        && c.condition().method() == method
                        && c.condition().tokens() == tokens)
            .min(CHEAPEST)
            .map(Candidate::condition)
            .ifPresent(best::add);
      }
    }
    best.remove(removal.condition());
    best.addFirst(removal.condition());
    return best;
  }

  /** Scores candidates on the prompts that refusal is known of. */
  private static final class Trial {
    private final Workbench bench;
    private final List<Example> refused;
    private final List<Example> answered;
    private final float[][] before;

    Trial(Workbench bench) {
      this.bench = bench;
      var observed = bench.observed();
      var labels = observed.states().labels();
      this.refused = pick(observed.prompts(), labels.cell(true, Reply.REFUSED));
      int[] fine = labels.cell(false, Reply.COMPLIED);
      this.answered = pick(observed.prompts(), fine);
      float[][] all = observed.states().readout().logits();
      this.before = IntStream.of(fine).mapToObj(i -> all[i]).toArray(float[][]::new);
    }

    private static List<Example> pick(List<Example> prompts, int[] rows) {
      return IntStream.of(rows).mapToObj(prompts::get).toList();
    }

    Candidate score(Condition condition, boolean removes) {
      var tap = List.<Tap>of(bench.make(condition));
      var score = bench.observed().score();
      var harmful = PromptReadout.of(bench.decoder(), tap, refused, List.of()).logits();
      var benign = PromptReadout.of(bench.decoder(), tap, answered, List.of()).logits();
      double kl = 0;
      for (int i = 0; i < benign.length; i++) {
        kl += RefusalScore.divergence(before[i], benign[i]) / benign.length;
      }
      return new Candidate(condition, removes, mean(score.of(harmful)), mean(score.of(benign)), kl);
    }

    private static double mean(double[] values) {
      return Arrays.stream(values).average().orElse(Double.NaN);
    }
  }
}
