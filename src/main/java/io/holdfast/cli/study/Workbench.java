package io.holdfast.cli.study;

import io.holdfast.cli.study.Condition.Control;
import io.holdfast.cli.study.Condition.Method;
import io.holdfast.data.Example;
import io.holdfast.geometry.Basis;
import io.holdfast.geometry.Carrier;
import io.holdfast.geometry.Intervention;
import io.holdfast.geometry.MatchedCentring;
import io.holdfast.geometry.PromptActivations;
import io.holdfast.geometry.Quadrants.Reply;
import io.holdfast.geometry.Reach;
import io.holdfast.model.Decoder;
import io.holdfast.model.Tap;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.IntStream;

/** Makes interventions in a model, and their controls, from directions. */
final class Workbench {
  private final Decoder decoder;
  private final Observed observed;
  private final Directions directions;
  private final int suffix;
  private final long seed;
  private SortedMap<Integer, double[][]> means;

  /**
   * A workbench.
   *
   * @param directions that are removed and added
   * @param suffix tokens of the template after the instruction
   * @param seed of random controls
   */
  Workbench(Decoder decoder, Observed observed, Directions directions, int suffix, long seed) {
    this.decoder = decoder;
    this.observed = observed;
    this.directions = directions;
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

  /** What is removed and added. */
  Directions directions() {
    return directions;
  }

  /** Controls that these directions have beside random ones. */
  List<Control> controls() {
    var controls = new ArrayList<Control>();
    if (directions.layers().size() > 1) {
      controls.add(Control.WRONG_LAYER);
    }
    if (directions.misread().isPresent()) {
      controls.add(Control.WRONG_POSITION);
    }
    return controls;
  }

  /** Blocks of the model. */
  int depth() {
    return decoder.architecture().depth();
  }

  /** What a condition does. */
  Tap tap(Condition condition) {
    if (condition.method() != Method.CENTRE || condition.control() != Control.MATCHED) {
      return make(condition);
    }
    var subspaces = subspaces(condition);
    var written = new TreeMap<>(subspaces);
    written.replaceAll((_, subspace) -> random(subspace.rank(), condition.draw()));
    var reach = new Reach(condition.tokens(), suffix);
    return new MatchedCentring(subspaces, written, centres(reach), reach);
  }

  /** The intervention of a condition that is no matched control of centring. */
  Intervention make(Condition condition) {
    var reach = new Reach(condition.tokens(), suffix);
    int layer =
        condition.control() == Control.WRONG_LAYER
            ? farthest(condition.layer())
            : condition.layer();
    return switch (condition.method()) {
      case ADD ->
          Intervention.adding(
              carrier(condition).times(condition.coefficient()).vector(), condition.layer(), reach);
      case ABLATE -> {
        var subspace = subspace(condition, layer);
        yield condition.control() == Control.MATCHED
            ? Intervention.moving(
                subspace, random(subspace.rank(), condition.draw()), depth(), reach)
            : Intervention.ablating(subspace, depth(), reach);
      }
      case CENTRE -> Intervention.centring(subspaces(condition), centres(reach), reach);
    };
  }

  /** What is added, or what stands in for it with its length: only the direction is wrong. */
  private Carrier carrier(Condition condition) {
    var mode = condition.mode();
    var own = directions.carrier(mode, condition.layer());
    var other =
        switch (condition.control()) {
          case NONE -> own;
          case WRONG_LAYER -> directions.carrier(mode, farthest(condition.layer()));
          case WRONG_POSITION -> misread().carrier(mode, condition.layer());
          case RANDOM, MATCHED -> new Carrier(random(1, condition.draw()).vectors()[0]);
        };
    return other.times(own.norm() / other.norm());
  }

  private Basis subspace(Condition condition, int layer) {
    var source = condition.control() == Control.WRONG_POSITION ? misread() : directions;
    var subspace = source.subspace(condition.mode(), layer);
    return condition.control() == Control.RANDOM
        ? random(subspace.rank(), condition.draw())
        : subspace;
  }

  private Directions misread() {
    return directions.misread().orElseThrow();
  }

  private Basis random(int rank, int draw) {
    return Basis.random(decoder.architecture().hidden(), rank, seed + 7919L * draw);
  }

  /** What is centred, by slot. */
  private SortedMap<Integer, Basis> subspaces(Condition condition) {
    var subspaces = new TreeMap<Integer, Basis>();
    for (int slot : directions.layers()) {
      int source = condition.control() == Control.WRONG_LAYER ? farthest(slot) : slot;
      subspaces.put(slot, subspace(condition, source));
    }
    return subspaces;
  }

  /** Where it goes: at all tokens what it is at the last, else what it is at each. */
  private SortedMap<Integer, double[][]> centres(Reach reach) {
    var centres = new TreeMap<>(means());
    if (reach.tokens() != Reach.Tokens.TEMPLATE) {
      centres.replaceAll((_, all) -> new double[][] {all[all.length - 1]});
    }
    return centres;
  }

  /** Means of answered prompts at the template's tokens, {@code [suffix][d]} by slot. */
  private SortedMap<Integer, double[][]> means() {
    if (means == null) {
      means = new TreeMap<>();
      var layers = directions.layers();
      // A template that ends with the prompt has the prompt's last token all the same.
      int tokens = Math.max(1, suffix);
      layers.forEach(layer -> means.put(layer, new double[tokens][]));
      var labels = observed.states().labels();
      var answered =
          IntStream.concat(
                  IntStream.of(labels.cell(true, Reply.COMPLIED)),
                  IntStream.of(labels.cell(false, Reply.COMPLIED)))
              .mapToObj(observed.prompts()::get)
              .toList();
      for (int token = 0; token < tokens; token++) {
        int back = tokens - 1 - token;
        var found =
            PromptActivations.capture(
                decoder, answered, layers, (Example prompt) -> prompt.promptEnd() - back);
        for (int layer : layers) {
          means.get(layer)[token] = Carrier.mean(found.at(layer));
        }
      }
    }
    return means;
  }

  private int farthest(int layer) {
    return directions.layers().stream()
        .max(Comparator.comparing(l -> Math.abs(l - layer)))
        .orElseThrow();
  }
}
