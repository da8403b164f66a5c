package io.holdfast.cli.study;

import io.holdfast.HoldfastException;
import io.holdfast.cli.study.Condition.Method;
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
 * one: the gentlest that suffices, by the scores of Arditi et al. 2024. A removal must make
 * refusals of harmful prompts, and an addition those of benign ones, all but impossible or certain,
 * and leave most nearly as it was what the other prompts get. Every candidate and its scores are
 * kept.
 *
 * @param candidates in the order tried
 * @param removal the removal chosen
 * @param addition the addition chosen
 * @param flags what a reader must know of the choice
 */
record Selection(
    List<Candidate> candidates, Candidate removal, Candidate addition, List<String> flags) {
  /** Refusal score of a prompt that is refused in 95 of 100 draws. */
  private static final double SURE = Math.log(.95 / .05);

  private static final Comparator<Candidate> REMOVES =
      Comparator.comparing((Candidate c) -> Math.max(-SURE, c.harmful().score()))
          .thenComparing(c -> c.benign().divergence());

  private static final Comparator<Candidate> ADDS =
      Comparator.comparing((Candidate c) -> -Math.min(SURE, c.benign().score()))
          .thenComparing(c -> c.harmful().divergence());

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
  record Candidate(Condition condition, Effect harmful, Effect benign) {
    /** Whether it is a removal and no addition. */
    boolean removes() {
      return condition.removes();
    }
  }

  /**
   * Tries what the directions offer.
   *
   * @param limits what a removal may cost, and how near the output directions are taken
   * @throws HoldfastException if no layer is left
   */
  static Selection of(Workbench bench, Limits limits) {
    var scorer = Scorer.of(bench);
    var candidates =
        bench.directions().tried(limits, bench.depth()).stream().map(scorer::score).toList();
    var flags = new ArrayList<String>();
    var removals = candidates.stream().filter(Candidate::removes).toList();
    var fit =
        removals.stream()
            .filter(c -> c.benign().divergence() <= limits.divergence() && c.benign().score() < 0)
            .toList();
    if (fit.isEmpty()) {
      flags.add("no removal keeps the KL on benign prompts below " + limits.divergence());
    }
    var removal = (fit.isEmpty() ? removals : fit).stream().min(REMOVES).orElseThrow();
    if (removal.harmful().score() > -SURE) {
      flags.add("no such removal makes refusals of harmful prompts all but impossible");
    }
    var addition = candidates.stream().filter(c -> !c.removes()).min(ADDS).orElseThrow();
    if (addition.benign().score() < SURE) {
      flags.add("no addition makes refusals of benign prompts all but certain");
    }
    return new Selection(candidates, removal, addition, List.copyOf(flags));
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
            .min(REMOVES)
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

    Candidate score(Condition condition) {
      var intervention = bench.make(condition);
      return new Candidate(condition, trial.harmful(intervention), trial.benign(intervention));
    }
  }
}
