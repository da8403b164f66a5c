package io.holdfast.geometry;

import io.holdfast.data.Example;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * How much of what a task asks of a model goes into a subspace: of the gradient {@code g = dL/dh}
 * of the task's cross entropy at a slot of the residual stream, where answers are predicted, the
 * share {@code sum |P g|^2 / sum |g|^2} times {@code d/k}, which is 1 by chance.
 */
public final class Interference {
  private Interference() {}

  /**
   * The interference of a task at several slots.
   *
   * @param task rows with answers
   * @param subspaces by slot
   */
  public static SortedMap<Integer, Double> of(
      Decoder decoder, List<Example> task, SortedMap<Integer, Basis> subspaces) {
    var inside = new TreeMap<Integer, Double>();
    var all = new TreeMap<Integer, Double>();
    for (var row : task) {
      gradients(decoder, row, subspaces.keySet().stream().toList())
          .forEach(
              (slot, gradient) -> {
                for (double[] g : gradient) {
                  double[] along = subspaces.get(slot).coefficients(g);
                  inside.merge(slot, Vectors.dot(along, along), Double::sum);
                  all.merge(slot, Vectors.dot(g, g), Double::sum);
                }
              });
    }
    var normalised = new TreeMap<Integer, Double>();
    subspaces.forEach(
        (slot, subspace) ->
            normalised.put(
                slot, inside.get(slot) / all.get(slot) * subspace.width() / subspace.rank()));
    return normalised;
  }

  /**
   * The same of what training wrote: {@code sum |P dW|^2 / sum |dW|^2} times {@code d/k} over the
   * matrices that write to the residual stream; NaN where none of them changed.
   */
  public static double ofWeights(Decoder before, Decoder after, Basis subspace) {
    double[] sums = new double[2];
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var u = Tensors.of(subspace.vectors());
      after
          .weights()
          .all()
          .forEach(
              (name, weight) -> {
                if (name.endsWith(".o_proj.weight") || name.endsWith(".down_proj.weight")) {
                  try (var one = Scope.open()) {
                    var was = before.weights().get(name).to(ScalarType.Double);
                    var moved = weight.to(ScalarType.Double).sub(was);
                    sums[0] += u.matmul(moved).square().sum().item_double();
                    sums[1] += moved.square().sum().item_double();
                  }
                }
              });
    }
    return sums[1] == 0 ? Double.NaN : sums[0] / sums[1] * subspace.width() / subspace.rank();
  }

  /** Gradients of one row's summed cross entropy where its answer is predicted, by slot. */
  private static Map<Integer, double[][]> gradients(
      Decoder decoder, Example row, List<Integer> slots) {
    int[] targets = IntStream.range(1, row.length()).filter(t -> row.target()[t]).toArray();
    long[] predicting = IntStream.of(targets).mapToLong(t -> t - 1L).toArray();
    long[] wanted = IntStream.of(targets).mapToLong(t -> row.ids()[t]).toArray();
    long[] ids = IntStream.of(row.ids()).asLongStream().toArray();
    try (var scope = Scope.open();
        var kept = new TensorOwner()) {
      var seen = new HashMap<Integer, Tensor>();
      var tap = new Keeper(slots, seen, kept);
      var tokens = Tokens.rightPadded(Tensors.of(ids, 1, ids.length));
      var hidden = decoder.forward(tokens, AdapterMode.ON, List.of(tap));
      var index = Tensors.of(predicting, predicting.length);
      var logits = decoder.logits(hidden.select(0, 0).index_select(0, index));
      var chosen =
          logits.log_softmax(1).gather(1, Tensors.of(wanted, wanted.length, 1)).sum().neg();
      chosen.backward();
      var gradients = new HashMap<Integer, double[][]>();
      seen.forEach(
          (slot, states) ->
              gradients.put(slot, rows(states.grad().select(0, 0).index_select(0, index))));
      return gradients;
    }
  }

  private static double[][] rows(Tensor matrix) {
    double[] values = Tensors.doubles(matrix);
    int width = Math.toIntExact(matrix.size(1));
    var rows = new double[values.length / width][width];
    for (int i = 0; i < values.length; i++) {
      rows[i / width][i % width] = values[i];
    }
    return rows;
  }

  /** Makes the embedding a leaf, so that what follows has gradients, and keeps those of slots. */
  private record Keeper(List<Integer> slots, Map<Integer, Tensor> seen, TensorOwner owner)
      implements Tap {
    @Override
    public boolean wants(Site site) {
      return site.kind() == Site.Kind.BLOCK_INPUT
          && (site.layer() == 0 || slots.contains(site.layer()));
    }

    @Override
    public Tensor at(Site site, Tensor hidden) {
      var state = site.layer() == 0 ? hidden.detach().requires_grad_(true) : hidden;
      if (slots.contains(site.layer())) {
        state.retain_grad();
        seen.put(site.layer(), owner.own(state));
      }
      return state;
    }
  }
}
