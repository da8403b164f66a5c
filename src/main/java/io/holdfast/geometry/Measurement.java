package io.holdfast.geometry;

import io.holdfast.HoldfastException;
import io.holdfast.geometry.Quadrants.Reply;
import io.holdfast.geometry.Resampling.Measure;
import io.holdfast.geometry.Resampling.Sample;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The geometry of one checkpoint: where harm and refusal are read, how far they coincide, and, with
 * a reference, how far they moved. Measures are those of {@link Coupling}, {@link Cone}, {@link
 * Spectrum} and {@link MovementMeasures}.
 *
 * @param harmLayer where harm is read best
 * @param refusalLayer where the reply is read best before it is given
 * @param figures every number
 */
public record Measurement(int harmLayer, int refusalLayer, List<Figure> figures) {
  /**
   * How it is measured.
   *
   * @param rank directions of the subspaces
   * @param otherRanks at which the overlap is given besides
   * @param draws of the bootstrap and of the permutations
   */
  public record Settings(int rank, List<Integer> otherRanks, int draws, long seed) {
    /** Rank 8 with 1 and 3 beside it, 200 draws. */
    public static final Settings STANDARD = new Settings(8, List.of(1, 3), 200, 1);
  }

  /** One figure by name, and by layer where it has one. */
  public Figure get(String measure, int layer) {
    return figures.stream()
        .filter(f -> f.measure().equals(measure) && f.layer() == layer)
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException(measure + " at " + layer));
  }

  /**
   * Measures.
   *
   * @param reference the same prompts in the model that drift is measured from
   * @throws HoldfastException if the prompts are too few for the rank
   */
  public static Measurement of(
      LabelledStates states, Optional<LabelledStates> reference, Settings settings) {
    requireEnough(states, settings.rank());
    int[] all = states.labels().all();
    int harm = best(states, layer -> states.readableHarm(layer, all));
    int refusal = best(states, layer -> states.readableRefusal(layer, all));
    var resampling = new Resampling(states, reference, settings.draws(), settings.seed());
    var work = new Work(states, settings, harm, refusal, resampling);
    work.coupling();
    work.layers();
    work.shapes();
    reference.ifPresent(
        before -> {
          int[] same = before.labels().all();
          int was = best(before, layer -> before.readableRefusal(layer, same));
          new MovementMeasures(before, refusal, settings.rank())
              .measure(resampling, work.differing(), was);
        });
    return new Measurement(harm, refusal, resampling.figures());
  }

  /**
   * Throws if a class has fewer prompts than a subspace of this rank needs.
   *
   * @throws HoldfastException that says which class is empty or too small
   */
  public static void requireEnough(LabelledStates states, int rank) {
    var labels = states.labels();
    int[] all = labels.all();
    int least =
        Math.min(
            Math.min(labels.asking(all, true).length, labels.asking(all, false).length),
            Math.min(
                labels.answered(all, Reply.REFUSED).length,
                labels.answered(all, Reply.COMPLIED).length));
    if (least == 0) {
      throw HoldfastException.input(
          "the labels are of one class only: %d prompts ask for harm and %d do not, %d are refused"
              + " and %d answered; give prompts of both kinds, or labels of a reference",
          labels.asking(all, true).length,
          labels.asking(all, false).length,
          labels.answered(all, Reply.REFUSED).length,
          labels.answered(all, Reply.COMPLIED).length);
    }
    if (least < rank) {
      throw HoldfastException.input(
          "the smallest class has %d prompts, too few for subspaces of rank %d; give more prompts"
              + " or a smaller --rank",
          least, rank);
    }
  }

  private interface Reader {
    Readability at(int layer);
  }

  /** The layer of the widest separation; the embedding has not seen the prompt. */
  private static int best(LabelledStates states, Reader reader) {
    int best = states.layers().getLast();
    double widest = Double.NEGATIVE_INFINITY;
    for (int layer : states.layers()) {
      double separation = layer == 0 ? Double.NaN : reader.at(layer).separation();
      if (separation > widest) {
        widest = separation;
        best = layer;
      }
    }
    return best;
  }

  private record Work(
      LabelledStates states, Settings settings, int harm, int refusal, Resampling resampling) {

    void coupling() {
      int width = states.width();
      int rank = settings.rank();
      double cosine = Coupling.chanceCosine(width);
      double overlap = Coupling.chanceOverlap(width, rankFound());
      var measures =
          new ArrayList<>(
              List.of(
                  new Measure("c_cos", cosine),
                  new Measure("c_sub", overlap),
                  Measure.of("hrci"),
                  new Measure("hrci_repr", (cosine + overlap) / 2)));
      for (int other : settings.otherRanks()) {
        measures.add(new Measure("c_sub_" + other, Coupling.chanceOverlap(width, other)));
      }
      measures.add(Measure.of("cross_projection"));
      resampling.withNull(measures, Figure.NO_LAYER, sample -> couplings(sample, rank));
      double layers = Math.exp(-Math.abs(harm - refusal) / Coupling.TAU);
      resampling.plain("c_layer", Figure.NO_LAYER, layers);
    }

    private double[] couplings(Sample sample, int rank) {
      var h = sample.now().harm(harm, sample.rows());
      var r = sample.now().refusal(refusal, sample.rows());
      var harmSpace = sample.now().harmSpace(harm, sample.rows(), rank);
      var refusalSpace = sample.now().refusalSpace(refusal, sample.rows(), rank);
      var found = Coupling.of(h, r, harmSpace, refusalSpace, harm, refusal);
      var values = new ArrayList<Double>();
      values.addAll(
          List.of(found.cosine(), found.overlap(), found.hrci(), found.hrciRepresentation()));
      for (int other : settings.otherRanks()) {
        // The directions come in their order: a smaller subspace is the beginning of a larger one.
        values.add(
            PrincipalAngles.between(harmSpace.first(other), refusalSpace.first(other)).overlap());
      }
      double[] gap = sample.now().gap(refusal, sample.rows()).vector();
      values.add(Math.abs(Vectors.dot(h.unit(), gap) / Vectors.dot(r.unit(), gap)));
      return values.stream().mapToDouble(Double::doubleValue).toArray();
    }

    /**
     * Dimensions that the larger subspace has: fewer than asked for where the prompts span fewer.
     */
    private int rankFound() {
      int[] all = states.labels().all();
      return Math.max(
          states.harmSpace(harm, all, settings.rank()).rank(),
          states.refusalSpace(refusal, all, settings.rank()).rank());
    }

    void layers() {
      double chance = Coupling.chanceCosine(states.width());
      int[] all = states.labels().all();
      for (int layer : differing()) {
        resampling.intervals(
            List.of(
                new Measure("cosine", chance),
                new Measure("auroc_harm", 0.5),
                new Measure("auroc_refusal", 0.5)),
            layer,
            s ->
                new double[] {
                  Math.abs(s.now().harm(layer, s.rows()).cosine(s.now().refusal(layer, s.rows()))),
                  s.now().readableHarm(layer, s.rows()).auroc(),
                  s.now().readableRefusal(layer, s.rows()).auroc()
                });
        resampling.plain("norm_harm", layer, states.harm(layer, all).norm());
        resampling.plain("norm_refusal", layer, states.refusal(layer, all).norm());
        double[] unit = states.refusal(layer, all).unit();
        resampling.plain("refused_at", layer, mean(layer, Reply.REFUSED, unit));
        resampling.plain("complied_at", layer, mean(layer, Reply.COMPLIED, unit));
      }
    }

    /** Where a class stands along the refusal direction; zero is where ablation puts it. */
    private double mean(int layer, Reply reply, double[] unit) {
      return Vectors.dot(Vectors.mean(states.answered(layer, states.labels().all(), reply)), unit);
    }

    /** Layers at which prompts do not all look the same, as they do before the first block. */
    List<Integer> differing() {
      int[] all = states.labels().all();
      return states.layers().stream()
          .filter(l -> states.harm(l, all).norm() != 0 && states.refusal(l, all).norm() != 0)
          .toList();
    }

    void shapes() {
      resampling.withNull(
          List.of(Measure.of("cone_aperture"), Measure.of("cone_concentration")),
          refusal,
          s -> {
            var cone = s.now().replies(refusal, s.rows()).cone();
            return new double[] {cone.aperture(), cone.concentration()};
          });
      resampling.intervals(
          List.of(Measure.of("effective_rank"), Measure.of("participation_ratio")),
          refusal,
          s -> {
            var spectrum = Spectrum.of(s.now().replies(refusal, s.rows()).differences());
            return new double[] {spectrum.effectiveRank(), spectrum.participationRatio()};
          });
    }
  }
}
