package io.holdfast.cli.study;

import io.holdfast.cli.study.Condition.Method;
import io.holdfast.cli.study.Condition.Mode;
import io.holdfast.geometry.Basis;
import io.holdfast.geometry.Carrier;
import io.holdfast.geometry.LabelledStates;
import io.holdfast.geometry.Reach;
import io.holdfast.geometry.RefusalTrial.Limits;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Directions that a model's own states show: differences of the means of labelled prompts.
 *
 * @param layers that have them
 * @param wrongPosition whether each class is read at the other's position: a control
 */
record Carriers(LabelledStates states, List<Integer> layers, boolean wrongPosition)
    implements Directions {
  private static final List<Double> DOSES = List.of(1.0, 1.5, 2.0);

  /**
   * The carriers of a model.
   *
   * @param depth blocks of the model; the embedding and the output of the last have none
   */
  static Carriers of(LabelledStates states, int depth) {
    var layers = states.layers().stream().filter(l -> l > 0 && l < depth).toList();
    return new Carriers(states, layers, false);
  }

  @Override
  public String title() {
    return "the refusal carrier";
  }

  @Override
  public Mode refusal() {
    return Mode.R;
  }

  @Override
  public List<Mode> others() {
    return List.of(Mode.H, Mode.BOTH, Mode.H_ALONE, Mode.R_ALONE);
  }

  @Override
  public Carrier carrier(Mode mode, int layer) {
    var h = harm(layer);
    var r = refusal(layer);
    return switch (mode) {
      case H -> h;
      case R -> r;
      case BOTH -> new Carrier(sum(h.vector(), r.vector()));
      case H_ALONE -> new Carrier(Basis.span(List.of(r.vector())).reject(h.vector()));
      case R_ALONE -> new Carrier(Basis.span(List.of(h.vector())).reject(r.vector()));
      case BASIS -> throw new IllegalArgumentException("these are no directions of a file");
    };
  }

  private Carrier harm(int layer) {
    return wrongPosition ? states.harmAtEnd(layer) : states.harm(layer, all());
  }

  private Carrier refusal(int layer) {
    return wrongPosition ? states.refusalAtInstruction(layer) : states.refusal(layer, all());
  }

  private static double[] sum(double[] a, double[] b) {
    return IntStream.range(0, a.length).mapToDouble(i -> a[i] + b[i]).toArray();
  }

  private int[] all() {
    return states.labels().all();
  }

  @Override
  public Basis subspace(Mode mode, int layer) {
    return mode == Mode.BOTH
        ? Basis.span(List.of(refusal(layer).vector(), harm(layer).vector()))
        : Basis.span(List.of(carrier(mode, layer).vector()));
  }

  /** All methods at all layers: which of them removes refusal differs from model to model. */
  @Override
  public List<Condition> tried(Limits limits, int depth) {
    var early = early(limits, depth);
    var tried = new ArrayList<Condition>();
    for (var tokens : List.of(Reach.Tokens.ALL, Reach.Tokens.TEMPLATE)) {
      tried.add(Condition.of(Mode.R, Method.CENTRE, tokens, early.getLast(), 1));
      for (int layer : early) {
        tried.add(Condition.of(Mode.R, Method.ABLATE, tokens, layer, 1));
        for (double dose : DOSES) {
          tried.add(Condition.of(Mode.R, Method.ADD, tokens, layer, -dose));
          tried.add(Condition.of(Mode.R, Method.ADD, tokens, layer, dose));
        }
      }
    }
    return tried;
  }

  @Override
  public Optional<Directions> misread() {
    return Optional.of(new Carriers(states, layers, true));
  }
}
