package io.holdfast.cli.study;

import io.holdfast.HoldfastException;
import io.holdfast.cli.study.Condition.Method;
import io.holdfast.cli.study.Condition.Mode;
import io.holdfast.geometry.Quadrants.Reply;
import io.holdfast.geometry.Reach;
import io.holdfast.geometry.RefusalTrial;
import io.holdfast.geometry.RefusalTrial.Effect;
import io.holdfast.geometry.RefusalTrial.Limits;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Which intervention removes refusal, and which adds it, chosen before anything is generated under
 * one: a removal must leave what benign prompts get nearly as it was and make refusals of harmful
 * ones least likely, as Arditi et al. 2024 have it; an addition must make refusals of benign ones
 * all but certain and leave those of harmful ones most nearly as they were. Every candidate and its
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
      Comparator.comparing((Candidate c) -> Math.max(0, c.harmful().score()))
          .thenComparing(c -> c.benign().divergence());

  private static final List<Double> DOSES = List.of(1.0, 1.5, 2.0);

  /** Refusal score of a prompt that is refused in 95 of 100 draws. */
  private static final double SURE = Math.log(.95 / .05);

  /** Prompts of a class that are judged by, and tokens of their usual answers, at most. */
  private static final int PROMPTS = 64;

  private static final int ANSWER = 8;

  /**
   * A candidate.
   *
   * @param harmful what refused harmful prompts get: their score is the paper's bypass, and low is
   *     what a removal wants
   * @param benign what answered benign prompts get: their score is the paper's induce, and high is
   *     what an addition wants
   */
  record Candidate(Condition condition, boolean removes, Effect harmful, Effect benign) {}

  /**
   * Tries the methods at every layer.
   *
   * @param limits what a removal may cost, and how near the output carriers are taken
   * @throws HoldfastException if no layer is left
   */
  static Selection of(Workbench bench, Limits limits) {
    int depth = bench.decoder().architecture().depth();
    var layers = bench.layers().stream().filter(l -> !limits.late(l, depth)).toList();
    if (layers.isEmpty()) {
      throw HoldfastException.usage(
          "deepest: the first %s of %d blocks hold no layer with a carrier; take more of them",
          limits.depth(), depth);
    }
    var scorer = Scorer.of(bench);
    var candidates = new ArrayList<Candidate>();
    for (var tokens : List.of(Reach.Tokens.ALL, Reach.Tokens.TEMPLATE)) {
      candidates.add(
          scorer.score(Condition.of(Mode.R, Method.CENTRE, tokens, layers.getLast(), 1), true));
      for (int layer : layers) {
        candidates.add(scorer.score(Condition.of(Mode.R, Method.ABLATE, tokens, layer, 1), true));
        for (double dose : DOSES) {
          candidates.add(
              scorer.score(Condition.of(Mode.R, Method.ADD, tokens, layer, -dose), true));
          candidates.add(
              scorer.score(Condition.of(Mode.R, Method.ADD, tokens, layer, dose), false));
        }
      }
    }
    var flags = new ArrayList<String>();
    var removals = candidates.stream().filter(Candidate::removes).toList();
    var fit =
        removals.stream()
            .filter(c -> c.benign().divergence() <= limits.divergence() && c.benign().score() < 0)
            .toList();
    if (fit.isEmpty()) {
      flags.add(
          "no removal keeps the KL on benign prompts below %s: the one that costs least among those"
                  .formatted(limits.divergence())
              + " that bypass refusal was taken");
    }
    var removal =
        fit.isEmpty()
            ? removals.stream().min(CHEAPEST).orElseThrow()
            : fit.stream().min(Comparator.comparing(c -> c.harmful().score())).orElseThrow();
    return new Selection(
        List.copyOf(candidates), removal, addition(candidates, flags), List.copyOf(flags));
  }

  private static Candidate addition(List<Candidate> candidates, List<String> flags) {
    var additions = candidates.stream().filter(c -> !c.removes()).toList();
    var sure = additions.stream().filter(c -> c.benign().score() >= SURE).toList();
    if (!sure.isEmpty()) {
      return sure.stream().min(Comparator.comparing(c -> c.harmful().divergence())).orElseThrow();
    }
    flags.add("no addition makes refusals of benign prompts all but certain");
    return additions.stream().max(Comparator.comparing(c -> c.benign().score())).orElseThrow();
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

  /** Scores interventions on the prompts that the model refuses, and answers, rightly. */
  private record Scorer(Workbench bench, RefusalTrial trial) {
    static Scorer of(Workbench bench) {
      var observed = bench.observed();
      return new Scorer(
          bench,
          new RefusalTrial(
              bench.decoder(),
              observed.score(),
              observed.begun(true, Reply.REFUSED, PROMPTS, ANSWER),
              observed.begun(false, Reply.COMPLIED, PROMPTS, ANSWER)));
    }

    Candidate score(Condition condition, boolean removes) {
      var intervention = bench.make(condition);
      return new Candidate(
          condition, removes, trial.harmful(intervention), trial.benign(intervention));
    }
  }
}
