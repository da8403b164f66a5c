package io.holdfast.geometry;

import io.holdfast.data.Example;
import io.holdfast.geometry.Quadrants.Reply;
import io.holdfast.model.Decoder;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/**
 * How much ablating one carrier does to what the other carries, as a share of what ablating that
 * one itself does, beyond the effect of random directions:
 *
 * <pre>
 * CC(H->R) = (m_R(random) - m_R(without h)) / (m_R(random) - m_R(without r))
 * CC(R->H) = (m_H(random) - m_H(without r)) / (m_H(random) - m_H(without h))
 * </pre>
 *
 * with {@code m_R} the mean refusal score of refused harmful prompts and {@code m_H} the mean
 * latent score of harm of harmful prompts, read after the first edit. A denominator below {@link
 * #LEAST} leaves it undefined (NaN): there is no effect to take a share of.
 */
public final class CausalCoupling {
  /** The smallest own effect, in units of the score. */
  public static final double LEAST = 0.5;

  private static final int RANDOM = 8;

  private final Decoder decoder;
  private final List<Example> prompts;
  private final LabelledStates states;
  private final RefusalScore score;
  private final LatentGuard guard;

  /** What is measured on which prompts. */
  public CausalCoupling(
      Decoder decoder, List<Example> prompts, LabelledStates states, RefusalScore score) {
    this.decoder = decoder;
    this.prompts = prompts;
    this.states = states;
    this.score = score;
    this.guard = LatentGuard.ofHarm(states, 1);
  }

  /** Both scores of every prompt. */
  private record Scores(double[] refusal, double[] harm) {}

  /** Both couplings with intervals over prompts, and the four effects they are made of. */
  public List<Figure> figures(double[] harm, double[] refusal, int draws, long seed) {
    var withoutHarm = without(Basis.span(List.of(harm)));
    var withoutRefusal = without(Basis.span(List.of(refusal)));
    var random = random(harm.length, seed);
    int[] refused = states.labels().cell(true, Reply.REFUSED);
    int[] harmful = states.labels().asking(states.labels().all(), true);
    var figures = new ArrayList<Figure>();
    ratio(
        figures,
        "hr",
        refused,
        random.refusal,
        withoutHarm.refusal,
        withoutRefusal.refusal,
        draws,
        seed);
    ratio(figures, "rh", harmful, random.harm, withoutRefusal.harm, withoutHarm.harm, draws, seed);
    return figures;
  }

  private static void ratio(
      List<Figure> figures,
      String which,
      int[] rows,
      double[] random,
      double[] other,
      double[] own,
      int draws,
      long seed) {
    ToDoubleFunction<int[]> effect = drawn -> mean(drawn, rows, random, other);
    ToDoubleFunction<int[]> ownEffect = drawn -> mean(drawn, rows, random, own);
    add(figures, "causal_effect_" + which, rows, effect, draws, seed);
    add(figures, "causal_own_effect_" + which, rows, ownEffect, draws, seed);
    add(
        figures,
        "causal_coupling_" + which,
        rows,
        drawn -> {
          double denominator = ownEffect.applyAsDouble(drawn);
          return Math.abs(denominator) < LEAST
              ? Double.NaN
              : effect.applyAsDouble(drawn) / denominator;
        },
        draws,
        seed);
  }

  private static void add(
      List<Figure> figures,
      String name,
      int[] rows,
      ToDoubleFunction<int[]> statistic,
      int draws,
      long seed) {
    var estimate =
        rows.length == 0
            ? new Estimate(Double.NaN, Double.NaN, Double.NaN)
            : Estimate.bootstrap(rows.length, statistic, draws, 0.95, seed);
    figures.add(new Figure(name, Figure.NO_LAYER, estimate, Double.NaN, Double.NaN, Double.NaN));
  }

  private static double mean(int[] drawn, int[] rows, double[] from, double[] to) {
    return IntStream.of(drawn).mapToDouble(i -> from[rows[i]] - to[rows[i]]).average().orElse(0);
  }

  /** The mean over random unit directions, which also carry the cost of any ablation at all. */
  private Scores random(int width, long seed) {
    var mean = new Scores(new double[prompts.size()], new double[prompts.size()]);
    for (int i = 0; i < RANDOM; i++) {
      var one = without(Basis.random(width, 1, seed + i));
      Vectors.add(mean.refusal, 1.0 / RANDOM, one.refusal);
      Vectors.add(mean.harm, 1.0 / RANDOM, one.harm);
    }
    return mean;
  }

  private Scores without(Basis subspace) {
    var ablation = Intervention.ablating(subspace, decoder.architecture().depth(), Reach.ALL);
    var found = PromptReadout.of(decoder, List.of(ablation), prompts, guard.with().keySet());
    return new Scores(
        score.of(found.logits()),
        IntStream.range(0, prompts.size())
            .mapToDouble(i -> guard.score(found.instructionEnd(), i))
            .toArray());
  }
}
