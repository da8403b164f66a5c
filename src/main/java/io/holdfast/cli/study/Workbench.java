package io.holdfast.cli.study;

import io.holdfast.cli.study.Condition.Control;
import io.holdfast.cli.study.Condition.Method;
import io.holdfast.cli.study.Condition.Mode;
import io.holdfast.data.Example;
import io.holdfast.geometry.Basis;
import io.holdfast.geometry.Carrier;
import io.holdfast.geometry.Intervention;
import io.holdfast.geometry.LabelledStates;
import io.holdfast.geometry.PromptActivations;
import io.holdfast.geometry.Quadrants.Reply;
import io.holdfast.geometry.Reach;
import io.holdfast.model.Decoder;
import java.util.Comparator;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/** Makes interventions from the carriers that a model's own states show. */
final class Workbench {
  private final Decoder decoder;
  private final Observed observed;
  private final int suffix;
  private final long seed;
  private SortedMap<Integer, double[][]> centres;

  /**
   * A workbench.
   *
   * @param suffix tokens of the template after the instruction
   * @param seed of random controls
   */
  Workbench(Decoder decoder, Observed observed, int suffix, long seed) {
    this.decoder = decoder;
    this.observed = observed;
    this.suffix = suffix;
    this.seed = seed;
  }

  /** The model that is worked on. */
  Decoder decoder() {
    return decoder;
  }

  /** What was seen of it. */
  Observed observed() {
    return observed;
  }

  /** Layers with a carrier, which the embedding has none of. */
  List<Integer> layers() {
    return states().layers().stream().filter(l -> l > 0 && l < depth()).toList();
  }

  private int depth() {
    return decoder.architecture().depth();
  }

  private LabelledStates states() {
    return observed.states();
  }

  /** The intervention of a condition. */
  Intervention make(Condition condition) {
    var reach = new Reach(condition.tokens(), suffix);
    int layer =
        condition.control() == Control.WRONG_LAYER
            ? farthest(condition.layer())
            : condition.layer();
    return switch (condition.method()) {
      case ADD -> {
        double[] vector = scaled(vector(condition, layer), condition.coefficient());
        yield Intervention.adding(vector, condition.layer(), reach);
      }
      case ABLATE -> {
        var subspace = subspace(condition, layer);
        yield condition.control() == Control.MATCHED
            ? Intervention.moving(
                subspace, random(subspace.rank(), condition.draw()), depth(), reach)
            : Intervention.ablating(subspace, depth(), reach);
      }
      case CENTRE -> centring(condition, reach);
    };
  }

  /** The carrier or what stands in for it, with its length. */
  private double[] vector(Condition condition, int layer) {
    double[] vector = carrier(condition.mode(), layer, false);
    return switch (condition.control()) {
      case NONE, WRONG_LAYER -> scaled(vector, length(condition, vector) / norm(vector));
      case RANDOM, MATCHED -> scaled(random(1, condition.draw()).vectors()[0], norm(vector));
      case WRONG_POSITION -> {
        double[] wrong = carrier(condition.mode(), layer, true);
        yield scaled(wrong, norm(vector) / norm(wrong));
      }
    };
  }

  /** As long as the layer's own: what is wrong about a wrong layer is its direction alone. */
  private double length(Condition condition, double[] vector) {
    return condition.control() == Control.WRONG_LAYER
        ? norm(carrier(condition.mode(), condition.layer(), false))
        : norm(vector);
  }

  private Basis subspace(Condition condition, int layer) {
    if (condition.control() == Control.RANDOM) {
      return random(condition.mode() == Mode.BOTH ? 2 : 1, condition.draw());
    }
    boolean wrong = condition.control() == Control.WRONG_POSITION;
    return condition.mode() == Mode.BOTH
        ? Basis.span(List.of(carrier(Mode.R, layer, wrong), carrier(Mode.H, layer, wrong)))
        : Basis.span(List.of(carrier(condition.mode(), layer, wrong)));
  }

  private Basis random(int rank, int draw) {
    return Basis.random(states().width(), rank, seed + 7919L * draw);
  }

  private Intervention centring(Condition condition, Reach reach) {
    var read = new TreeMap<Integer, Basis>();
    var written = new TreeMap<Integer, Basis>();
    var at = new TreeMap<Integer, double[][]>();
    var means = centres();
    boolean template = condition.tokens() == Reach.Tokens.TEMPLATE;
    for (int slot : layers()) {
      int source = condition.control() == Control.WRONG_LAYER ? farthest(slot) : slot;
      var subspace = subspace(condition, source);
      read.put(slot, subspace);
      written.put(
          slot,
          condition.control() == Control.MATCHED
              ? random(subspace.rank(), condition.draw())
              : subspace);
      double[][] all = means.get(slot);
      at.put(slot, template ? all : new double[][] {all[all.length - 1]});
    }
    return Intervention.centring(read, written, at, reach);
  }

  /** Means of answered prompts at each token of the template, {@code [suffix][d]} by slot. */
  private SortedMap<Integer, double[][]> centres() {
    if (centres == null) {
      centres = new TreeMap<>();
      layers().forEach(layer -> centres.put(layer, new double[suffix][]));
      int[] rows =
          IntStream.concat(
                  IntStream.of(states().labels().cell(true, Reply.COMPLIED)),
                  IntStream.of(states().labels().cell(false, Reply.COMPLIED)))
              .toArray();
      var answered = IntStream.of(rows).mapToObj(observed.prompts()::get).toList();
      for (int token = 0; token < suffix; token++) {
        int back = suffix - 1 - token;
        var found =
            PromptActivations.capture(
                decoder, answered, layers(), (Example prompt) -> prompt.promptEnd() - back);
        for (int layer : layers()) {
          centres.get(layer)[token] = mean(found.at(layer));
        }
      }
    }
    return centres;
  }

  private static double[] mean(double[][] rows) {
    var mean = new double[rows[0].length];
    for (double[] row : rows) {
      for (int i = 0; i < mean.length; i++) {
        mean[i] += row[i] / rows.length;
      }
    }
    return mean;
  }

  /** A carrier with its length; at the wrong position the same classes, read at the other token. */
  private double[] carrier(Mode mode, int layer, boolean wrong) {
    IntFunction<Carrier> harm = l -> wrong ? states().harmAtEnd(l) : states().harm(l, all());
    IntFunction<Carrier> refusal =
        l -> wrong ? states().refusalAtInstruction(l) : states().refusal(l, all());
    double[] h = harm.apply(layer).vector();
    double[] r = refusal.apply(layer).vector();
    return switch (mode) {
      case H -> h;
      case R -> r;
      case BOTH -> IntStream.range(0, h.length).mapToDouble(i -> h[i] + r[i]).toArray();
      case H_ALONE -> Basis.span(List.of(r)).reject(h);
      case R_ALONE -> Basis.span(List.of(h)).reject(r);
    };
  }

  /** A carrier times a coefficient. */
  double[] scaled(Mode mode, int layer, double coefficient) {
    return scaled(carrier(mode, layer, false), coefficient);
  }

  private int[] all() {
    return states().labels().all();
  }

  private int farthest(int layer) {
    return layers().stream().max(Comparator.comparing(l -> Math.abs(l - layer))).orElseThrow();
  }

  private static double norm(double[] vector) {
    return new Carrier(vector).norm();
  }

  private static double[] scaled(double[] vector, double factor) {
    return IntStream.range(0, vector.length).mapToDouble(i -> factor * vector[i]).toArray();
  }

  /** The subspace whose writers an export makes silent. */
  Basis exported(Mode mode, int layer) {
    return subspace(Condition.of(mode, Method.ABLATE, Reach.Tokens.ALL, layer, 1), layer);
  }
}
