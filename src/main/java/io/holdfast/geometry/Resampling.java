package io.holdfast.geometry;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;

/**
 * Computes statistics of labelled states together with what they must be read beside: an interval
 * over prompts drawn anew, and the mean and the share as large under shuffled labels.
 */
final class Resampling {
  private static final double LEVEL = 0.95;

  private final LabelledStates states;
  private final Optional<LabelledStates> reference;
  private final int draws;
  private final long seed;
  private final List<Figure> figures = new ArrayList<>();

  /**
   * Nothing computed yet.
   *
   * @param reference the same prompts in another model
   * @param draws of prompts, and of labels
   */
  Resampling(LabelledStates states, Optional<LabelledStates> reference, int draws, long seed) {
    this.states = states;
    this.reference = reference;
    this.draws = draws;
    this.seed = seed;
  }

  /** Rows of labelled states, and of the reference where there is one. */
  record Sample(LabelledStates now, LabelledStates before, int[] rows) {}

  /** A number by name, with what chance gives. */
  record Measure(String name, double chance) {
    /** One without a level of chance. */
    static Measure of(String name) {
      return new Measure(name, Double.NaN);
    }
  }

  /** What is compared of two models, row i of both from prompt i. */
  interface Pairing {
    double of(double[][] before, double[][] now);
  }

  /** Everything computed so far. */
  List<Figure> figures() {
    return List.copyOf(figures);
  }

  /** Adds a number without an interval. */
  void plain(String name, int layer, double value) {
    figures.add(Figure.plain(name, layer, value, Double.NaN));
  }

  /** Adds numbers that are computed together. */
  void intervals(List<Measure> measures, int layer, Function<Sample, double[]> statistic) {
    add(measures, layer, statistic, false);
  }

  /** Adds numbers that are computed together, and what they are where labels say nothing. */
  void withNull(List<Measure> measures, int layer, Function<Sample, double[]> statistic) {
    add(measures, layer, statistic, true);
  }

  private void add(
      List<Measure> measures, int layer, Function<Sample, double[]> statistic, boolean shuffles) {
    int count = measures.size();
    int size = states.labels().size();
    int[] all = states.labels().all();
    double[] whole = statistic.apply(new Sample(states, reference.orElse(null), all));
    var random = new SplittableRandom(seed);
    var drawn = new double[draws][];
    var nulls = new double[shuffles ? draws : 0][];
    for (int i = 0; i < drawn.length; i++) {
      int[] rows = random.ints(size, 0, size).toArray();
      drawn[i] = tried(statistic, new Sample(states, reference.orElse(null), rows), count);
    }
    for (int i = 0; i < nulls.length; i++) {
      var shuffled = states.shuffled(shuffled(size, random));
      nulls[i] = tried(statistic, new Sample(shuffled, null, all), count);
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
              measures.get(i).name(),
              layer,
              Estimate.drawn(whole[i], values, LEVEL),
              mean(under),
              shuffles ? p : Double.NaN,
              measures.get(i).chance()));
    }
  }

  /** Adds a measure of pairs of states; shuffled, the pairs are of different prompts. */
  void paired(Measure measure, int layer, Pairing pairing) {
    var before = reference.orElseThrow().readout().promptEnd().at(layer);
    var now = states.readout().promptEnd().at(layer);
    // Two copies of one prompt look like a bond between the models: each prompt counts once.
    var estimate =
        Estimate.bootstrap(
            now.length,
            rows -> {
              int[] once = Arrays.stream(rows).distinct().toArray();
              return pairing.of(LabelledStates.pick(before, once), LabelledStates.pick(now, once));
            },
            draws,
            LEVEL,
            seed);
    double[] nulls = nulls(order -> pairing.of(LabelledStates.pick(before, order), now));
    figures.add(
        new Figure(measure.name(), layer, estimate, mean(nulls), Double.NaN, measure.chance()));
  }

  private double[] nulls(ToDoubleFunction<int[]> statistic) {
    var random = new SplittableRandom(seed);
    var values = new double[draws];
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
}
