package io.holdfast.geometry;

import io.holdfast.HoldfastException;
import io.holdfast.geometry.Quadrants.Reply;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;

/**
 * The geometry of one checkpoint: where harm and refusal are read, how far they coincide, and, with
 * a reference, how far they moved. Measures are those of {@link Coupling}, {@link Drift}, {@link
 * Similarity}, {@link Cone} and {@link Spectrum}.
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
    var work = new Work(states, reference, settings, harm, refusal, new ArrayList<>());
    work.coupling();
    work.layers();
    work.shapes();
    reference.ifPresent(work::movement);
    return new Measurement(harm, refusal, List.copyOf(work.figures));
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

  /** Rows of labelled states, and of the reference where there is one. */
  private record Sample(LabelledStates now, LabelledStates before, int[] rows) {}

  private record Work(
      LabelledStates states,
      Optional<LabelledStates> reference,
      Settings settings,
      int harm,
      int refusal,
      List<Figure> figures) {

    void coupling() {
      int width = states.width();
      int rank = settings.rank();
      var names = new ArrayList<>(List.of("c_cos", "c_sub", "hrci", "hrci_repr"));
      double chanceCosine = Coupling.chanceCosine(width);
      double chanceOverlap = Coupling.chanceOverlap(width, rankFound());
      var chances =
          new ArrayList<>(
              List.of(chanceCosine, chanceOverlap, Double.NaN, (chanceCosine + chanceOverlap) / 2));
      for (int other : settings.otherRanks()) {
        names.add("c_sub_" + other);
        chances.add(Coupling.chanceOverlap(width, other));
      }
      names.add("cross_projection");
      chances.add(Double.NaN);
      figures(names, chances, Figure.NO_LAYER, true, sample -> couplings(sample, rank));
      double layers = Math.exp(-Math.abs(harm - refusal) / Coupling.TAU);
      plain("c_layer", Figure.NO_LAYER, layers, Double.NaN);
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
      for (int layer : states.layers()) {
        if (same(layer)) {
          continue;
        }
        figures(
            List.of("cosine", "auroc_harm", "auroc_refusal"),
            List.of(chance, 0.5, 0.5),
            layer,
            false,
            s ->
                new double[] {
                  Math.abs(s.now().harm(layer, s.rows()).cosine(s.now().refusal(layer, s.rows()))),
                  s.now().readableHarm(layer, s.rows()).auroc(),
                  s.now().readableRefusal(layer, s.rows()).auroc()
                });
        plain("norm_harm", layer, states.harm(layer, all).norm(), Double.NaN);
        plain("norm_refusal", layer, states.refusal(layer, all).norm(), Double.NaN);
        double[] unit = states.refusal(layer, all).unit();
        plain("refused_at", layer, mean(layer, Reply.REFUSED, unit), Double.NaN);
        plain("complied_at", layer, mean(layer, Reply.COMPLIED, unit), Double.NaN);
      }
    }

    /** Where a class stands along the refusal direction; zero is where ablation puts it. */
    private double mean(int layer, Reply reply, double[] unit) {
      return Vectors.dot(Vectors.mean(states.answered(layer, states.labels().all(), reply)), unit);
    }

    /** Whether all prompts look the same, as they do before the first block. */
    private boolean same(int layer) {
      int[] all = states.labels().all();
      return states.harm(layer, all).norm() == 0 || states.refusal(layer, all).norm() == 0;
    }

    void shapes() {
      figures(
          List.of("cone_aperture", "cone_concentration"),
          List.of(Double.NaN, Double.NaN),
          refusal,
          true,
          s -> {
            var cone = cone(s.now(), s.rows());
            return new double[] {cone.aperture(), cone.concentration()};
          });
      figures(
          List.of("effective_rank", "participation_ratio"),
          List.of(Double.NaN, Double.NaN),
          refusal,
          false,
          s -> {
            var spectrum = spectrum(s);
            return new double[] {spectrum.effectiveRank(), spectrum.participationRatio()};
          });
    }

    private Cone cone(LabelledStates of, int[] rows) {
      return Cone.of(
          of.answered(refusal, rows, Reply.REFUSED), of.answered(refusal, rows, Reply.COMPLIED));
    }

    private Spectrum spectrum(Sample sample) {
      return Spectrum.of(
          Carrier.differences(
              sample.now().answered(refusal, sample.rows(), Reply.REFUSED),
              sample.now().answered(refusal, sample.rows(), Reply.COMPLIED)));
    }

    void movement(LabelledStates before) {
      int[] all = before.labels().all();
      int was = best(before, layer -> before.readableRefusal(layer, all));
      plain("relocation", Figure.NO_LAYER, Math.abs(refusal - was), Double.NaN);
      var safety = before.refusalSpace(refusal, all, settings.rank());
      for (int layer : states.layers()) {
        if (!same(layer)) {
          figures(
              List.of("drift_harm", "drift_refusal"),
              List.of(1.0, 1.0),
              layer,
              false,
              s ->
                  new double[] {
                    1 - s.before().harm(layer, s.rows()).cosine(s.now().harm(layer, s.rows())),
                    1 - s.before().refusal(layer, s.rows()).cosine(s.now().refusal(layer, s.rows()))
                  });
        }
      }
      figures(
          List.of(
              "magnitude", "relative_drift", "safety_share", "subspace_angle", "cone_axis_drift"),
          List.of(
              Double.NaN,
              Double.NaN,
              (double) safety.rank() / safety.width(),
              Double.NaN,
              Math.PI / 2),
          refusal,
          false,
          s -> {
            var drift = drift(s, safety);
            return new double[] {
              drift.magnitude(),
              drift.relative(),
              drift.safetyShare(),
              PrincipalAngles.between(
                      s.before().refusalSpace(refusal, s.rows(), settings.rank()),
                      s.now().refusalSpace(refusal, s.rows(), settings.rank()))
                  .grassmann(),
              cone(s.before(), s.rows()).axisDrift(cone(s.now(), s.rows()))
            };
          });
      paired("cka", 0, Similarity::unbiasedCka);
      paired("procrustes", Double.NaN, Similarity::procrustes);
    }

    private Drift drift(Sample sample, Basis safety) {
      return Drift.of(
          sample.before().refusal(refusal, sample.rows()),
          sample.now().refusal(refusal, sample.rows()),
          LabelledStates.pick(sample.before().readout().promptEnd().at(refusal), sample.rows()),
          LabelledStates.pick(sample.now().readout().promptEnd().at(refusal), sample.rows()),
          safety);
    }

    private interface Pairing {
      double of(double[][] before, double[][] now);
    }

    /** A measure of pairs of states; shuffled, the pairs are of different prompts. */
    private void paired(String name, double chance, Pairing pairing) {
      var before = reference.orElseThrow().readout().promptEnd().at(refusal);
      var now = states.readout().promptEnd().at(refusal);
      // Two copies of one prompt look like a bond between the models: each prompt counts once.
      var estimate =
          Estimate.bootstrap(
              now.length,
              rows -> {
                int[] once = Arrays.stream(rows).distinct().toArray();
                return pairing.of(
                    LabelledStates.pick(before, once), LabelledStates.pick(now, once));
              },
              settings.draws(),
              0.95,
              settings.seed());
      var nulls =
          nulls(
              order ->
                  pairing.of(
                      LabelledStates.pick(before, order),
                      LabelledStates.pick(now, states.labels().all())));
      figures.add(new Figure(name, refusal, estimate, mean(nulls), Double.NaN, chance));
    }

    private void plain(String name, int layer, double value, double chance) {
      figures.add(Figure.plain(name, layer, value, chance));
    }

    /**
     * Numbers that are computed together, with intervals over prompts, and where it says something
     * a null of shuffled labels.
     */
    private void figures(
        List<String> names,
        List<Double> chances,
        int layer,
        boolean withNull,
        Function<Sample, double[]> statistic) {
      int count = names.size();
      double[] whole = statistic.apply(whole());
      var random = new SplittableRandom(settings.seed());
      int size = states.labels().size();
      var drawn = new double[settings.draws()][];
      var nulls = new double[withNull ? settings.draws() : 0][];
      for (int i = 0; i < drawn.length; i++) {
        int[] rows = random.ints(size, 0, size).toArray();
        drawn[i] = tried(statistic, new Sample(states, reference.orElse(null), rows), count);
      }
      for (int i = 0; i < nulls.length; i++) {
        var shuffled = states.shuffled(shuffled(size, random));
        nulls[i] = tried(statistic, new Sample(shuffled, null, whole().rows()), count);
      }
      for (int i = 0; i < count; i++) {
        int one = i;
        double[] under =
            Arrays.stream(nulls).mapToDouble(n -> n[one]).filter(Double::isFinite).toArray();
        double p =
            (1 + Arrays.stream(under).filter(v -> v >= whole[one]).count()) / (1.0 + under.length);
        double[] values = Arrays.stream(drawn).mapToDouble(d -> d[one]).toArray();
        figures.add(
            new Figure(
                names.get(i),
                layer,
                Estimate.drawn(whole[i], values, 0.95),
                mean(under),
                withNull ? p : Double.NaN,
                chances.get(i)));
      }
    }

    private double[] nulls(ToDoubleFunction<int[]> statistic) {
      var random = new SplittableRandom(settings.seed());
      var values = new double[settings.draws()];
      for (int draw = 0; draw < values.length; draw++) {
        values[draw] = statistic.applyAsDouble(shuffled(states.labels().size(), random));
      }
      return Arrays.stream(values).filter(Double::isFinite).toArray();
    }

    private static int[] shuffled(int size, SplittableRandom random) {
      int[] order = new int[size];
      for (int i = 0; i < size; i++) {
        int j = random.nextInt(i + 1);
        order[i] = order[j];
        order[j] = i;
      }
      return order;
    }

    /** A draw in which a class has no prompts, or no direction, does not count. */
    private static double[] tried(Function<Sample, double[]> statistic, Sample sample, int count) {
      try {
        return statistic.apply(sample);
      } catch (IllegalArgumentException | IllegalStateException e) {
        var nothing = new double[count];
        Arrays.fill(nothing, Double.NaN);
        return nothing;
      }
    }

    private static double mean(double[] values) {
      return Arrays.stream(values).average().orElse(Double.NaN);
    }

    private Sample whole() {
      return new Sample(states, reference.orElse(null), states.labels().all());
    }
  }
}
