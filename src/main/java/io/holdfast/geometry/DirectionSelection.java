package io.holdfast.geometry;

import io.holdfast.HoldfastException;
import io.holdfast.data.Example;
import io.holdfast.geometry.RefusalTrial.Limits;
import io.holdfast.model.Decoder;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/**
 * Which mean difference is a model's refusal direction (Arditi et al. 2024, section 2.3 and
 * appendix C). Each layer and position gives a candidate r, which is judged on prompts that it was
 * not made from:
 *
 * <pre>
 * bypass      mean refusal score of harmful prompts with r ablated everywhere
 * induce      mean refusal score of benign prompts with r added at its layer, at all tokens
 * divergence  mean KL of the first answer token of benign prompts, without and with r ablated
 * </pre>
 *
 * Candidates in the last fifth of the layers, that change what benign prompts get, or whose
 * addition induces no refusal are discarded; of the others the one that bypasses best is chosen.
 */
public final class DirectionSelection {
  private final Decoder model;
  private final RefusalTrial trial;
  private final Limits limits;

  /** What came of a candidate. */
  public enum Verdict {
    /** It is the one. */
    CHOSEN,
    /** It passes, but another bypasses better. */
    ADMISSIBLE,
    /** A score is not a number, or there is no difference. */
    NOT_FINITE,
    /** Its layer is too near the output. */
    LATE,
    /** Without it benign prompts are answered otherwise. */
    DIVERGES,
    /** Adding it induces no refusal. */
    INDUCES_NOTHING
  }

  /**
   * A mean difference with its scores.
   *
   * @param position what was read
   * @param layer slot of the residual stream
   * @param norm its length
   */
  public record Candidate(
      String position,
      int layer,
      double norm,
      double bypass,
      double induce,
      double divergence,
      Verdict verdict) {
    /** Whether it passed the filters. */
    public boolean admissible() {
      return verdict == Verdict.CHOSEN || verdict == Verdict.ADMISSIBLE;
    }

    private Candidate with(Verdict other) {
      return new Candidate(position, layer, norm, bypass, induce, divergence, other);
    }
  }

  /**
   * A selection. Prompts that the model itself treats otherwise than their class asks are left out.
   *
   * @param harmful prompts to judge by, which no candidate was made from
   * @param benign likewise
   * @throws HoldfastException if the model refuses none of the harmful or all of the benign ones
   */
  public DirectionSelection(
      Decoder model,
      RefusalScore score,
      List<Example> harmful,
      List<Example> benign,
      Limits limits) {
    this.model = model;
    this.limits = limits;
    this.trial =
        new RefusalTrial(
            model, score, kept(model, score, harmful, true), kept(model, score, benign, false));
  }

  private static List<Example> kept(
      Decoder model, RefusalScore score, List<Example> prompts, boolean refused) {
    var kept = RefusalTrial.kept(model, score, prompts, refused);
    if (kept.isEmpty()) {
      throw HoldfastException.input(
          "the model %s of the %d %s prompts that directions are judged by; give more prompts, or"
              + " other tokens of refusals (--refusal-tokens)",
          refused ? "refuses none" : "answers none",
          prompts.size(),
          refused ? "harmful" : "benign");
    }
    return kept;
  }

  /**
   * Judges a candidate at every layer and reading.
   *
   * @param harmfulStates of the prompts that candidates are made from
   * @param benignStates likewise
   * @return all candidates, the chosen one among them if any passes
   */
  public List<Candidate> judge(States harmfulStates, States benignStates, List<Reading> readings) {
    var all = new ArrayList<Candidate>();
    for (int layer : harmfulStates.byLayer().keySet()) {
      for (int r = 0; r < readings.size(); r++) {
        var carrier = Carrier.between(harmfulStates.at(layer)[r], benignStates.at(layer)[r]);
        all.add(judge(readings.get(r).name(), layer, carrier));
      }
    }
    chosen(all).ifPresent(best -> all.replaceAll(c -> c == best ? c.with(Verdict.CHOSEN) : c));
    return all;
  }

  private static Optional<Candidate> chosen(List<Candidate> all) {
    return all.stream()
        .filter(Candidate::admissible)
        .min(Comparator.comparingDouble(Candidate::bypass));
  }

  /**
   * Judges one direction.
   *
   * @param position what the candidate is called
   * @param layer slot at which it is added, with its length
   */
  public Candidate judge(String position, int layer, Carrier carrier) {
    int depth = model.architecture().depth();
    if (carrier.norm() == 0) {
      // The same token in every prompt, which has seen nothing yet: the template's at layer 0.
      double none = Double.NaN;
      return new Candidate(position, layer, 0, none, none, none, Verdict.NOT_FINITE);
    }
    var unit = new Basis(new double[][] {carrier.unit()});
    var ablated = Intervention.ablating(unit, depth, Reach.ALL);
    double bypass = trial.harmful(ablated).score();
    double divergence = trial.benign(ablated).divergence();
    double induce = trial.benign(Intervention.adding(carrier.vector(), layer, Reach.ALL)).score();
    return new Candidate(
        position,
        layer,
        carrier.norm(),
        bypass,
        induce,
        divergence,
        verdict(layer, depth, bypass, induce, divergence));
  }

  private Verdict verdict(int layer, int depth, double bypass, double induce, double divergence) {
    if (!Double.isFinite(bypass + induce + divergence)) {
      return Verdict.NOT_FINITE;
    }
    if (limits.late(layer, depth)) {
      return Verdict.LATE;
    }
    if (divergence > limits.divergence()) {
      return Verdict.DIVERGES;
    }
    return induce < limits.induce() ? Verdict.INDUCES_NOTHING : Verdict.ADMISSIBLE;
  }
}
