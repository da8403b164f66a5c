package io.holdfast.attack;

import io.holdfast.attack.GcgState.Entry;
import io.holdfast.kernels.Kernels;
import io.holdfast.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.apache.commons.math3.stat.correlation.SpearmansCorrelation;

/**
 * Probe sampling (Zhao et al. 2024). The draft reads the candidates' text with its own tokenizer
 * and template.
 */
final class ProbeSampling implements AutoCloseable {
  private final GcgSettings.Probe constants;
  private final Gcg.Draft draft;
  private final Tokenizer tokenizer;
  private final List<CandidateScorer> scorers;

  ProbeSampling(
      GcgSettings.Probe constants,
      Gcg.Draft draft,
      Kernels kernels,
      List<AttackCase> cases,
      GcgSettings settings,
      Tokenizer tokenizer) {
    this.constants = constants;
    this.draft = draft;
    this.tokenizer = tokenizer;
    this.scorers =
        cases.stream()
            .map(asked -> asked.prompt(draft.chat()))
            .map(
                prompt ->
                    new CandidateScorer(
                        draft.model(), kernels, prompt, settings.loss(), settings.batchTokens()))
            .toList();
  }

  /**
   * The best of the candidates that the target scored.
   *
   * @param target the losses of some candidates under the target model
   */
  Entry best(
      List<int[]> candidates, Function<List<int[]>, double[]> target, SplittableRandom random) {
    double[] drafted = drafted(candidates);
    int[] probed = probed(candidates.size(), random);
    double[] known = target.apply(Arrays.stream(probed).mapToObj(candidates::get).toList());
    double agreement =
        agreement(Arrays.stream(probed).mapToDouble(i -> drafted[i]).toArray(), known);
    var promising =
        IntStream.range(0, candidates.size())
            .boxed()
            .sorted(Comparator.comparingDouble(i -> drafted[i]))
            .limit(kept(agreement, candidates.size()))
            .map(candidates::get)
            .toList();
    var bestPromising = GcgSearch.best(promising, target.apply(promising));
    var bestProbed =
        GcgSearch.best(Arrays.stream(probed).mapToObj(candidates::get).toList(), known);
    return bestProbed.loss() < bestPromising.loss() ? bestProbed : bestPromising;
  }

  /** How many of the draft's best the target scores. */
  int kept(double agreement, int candidates) {
    double kept = (1 - agreement) * candidates / constants.r();
    return (int) Math.clamp(kept, 1, candidates);
  }

  /**
   * {@code (1 + rho) / 2} with Spearman's rank correlation; half where there is nothing to rank.
   */
  static double agreement(double[] drafted, double[] known) {
    if (known.length < 2) {
      return .5;
    }
    double rho = new SpearmansCorrelation().correlation(drafted, known);
    return Double.isNaN(rho) ? .5 : (1 + rho) / 2;
  }

  private int[] probed(int candidates, SplittableRandom random) {
    int count = Math.max(1, candidates / constants.samplingFactor());
    var all = new ArrayList<>(IntStream.range(0, candidates).boxed().toList());
    Collections.shuffle(all, Random.from(random));
    return all.stream().limit(count).mapToInt(Integer::intValue).toArray();
  }

  private double[] drafted(List<int[]> candidates) {
    var strings =
        candidates.stream()
            .map(ids -> draft.chat().tokenizer().encode(tokenizer.decode(ids, false), false))
            .toList();
    var sums = new double[strings.size()];
    for (var scorer : scorers) {
      double[] losses = scorer.losses(new int[0], strings);
      for (int i = 0; i < sums.length; i++) {
        sums[i] += losses[i];
      }
    }
    return sums;
  }

  @Override
  public void close() {
    scorers.forEach(CandidateScorer::close);
  }
}
