package io.holdfast.geometry;

import io.holdfast.data.Example;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.model.TrainingPass;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.Arrays;
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
  /** Tokens of an answer whose logits exist at a time. */
  private static final int PIECE = 128;

  private Interference() {}

  /**
   * What of a task's gradient at one slot lies in a subspace.
   *
   * @param inside squared length of that part, by row of the task
   * @param all squared length of the whole
   * @param chance the share of a random gradient, k/d
   */
  public record Shares(double[] inside, double[] all, double chance) {
    /** The share over some rows, times d/k. */
    public double over(int[] rows) {
      double part = IntStream.of(rows).mapToDouble(row -> inside[row]).sum();
      return part / IntStream.of(rows).mapToDouble(row -> all[row]).sum() / chance;
    }

    /** The share over all rows, times d/k. */
    public double normalised() {
      return over(IntStream.range(0, all.length).toArray());
    }
  }

  /**
   * The interference of a task at several slots.
   *
   * @param task rows with answers
   * @param subspaces by slot
   */
  public static SortedMap<Integer, Shares> of(
      Decoder decoder, List<Example> task, SortedMap<Integer, Basis> subspaces) {
    var shares = new TreeMap<Integer, Shares>();
    subspaces.forEach(
        (slot, subspace) ->
            shares.put(
                slot,
                new Shares(
                    new double[task.size()],
                    new double[task.size()],
                    (double) subspace.rank() / subspace.width())));
    var slots = List.copyOf(subspaces.keySet());
    for (int row = 0; row < task.size(); row++) {
      for (var found : gradients(decoder, task.get(row), slots).entrySet()) {
        var at = shares.get(found.getKey());
        for (double[] g : found.getValue()) {
          double[] along = subspaces.get(found.getKey()).coefficients(g);
          at.inside()[row] += Vectors.dot(along, along);
          at.all()[row] += Vectors.dot(g, g);
        }
      }
    }
    return shares;
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

  /**
   * Whether a task and refusals pull the weights the same way: the cosine of the gradients, by all
   * weights of the model, of the mean cross entropy of either's answers. Negative where a step that
   * learns the task unlearns refusals; about 0 for unrelated gradients. Takes twice the memory of
   * the weights.
   *
   * @param task rows with answers
   * @param refusals rows whose answers are refusals
   */
  public static double ofGradients(Decoder decoder, List<Example> task, List<Example> refusals) {
    var weights = decoder.weights().all().values();
    weights.forEach(weight -> weight.requires_grad_(true));
    try (var owner = new TensorOwner()) {
      var first = byWeights(decoder, task, owner);
      var second = byWeights(decoder, refusals, owner);
      return dot(first, second) / Math.sqrt(dot(first, first) * dot(second, second));
    } finally {
      weights.forEach(weight -> weight.requires_grad_(false));
    }
  }

  private static List<Tensor> byWeights(Decoder decoder, List<Example> rows, TensorOwner owner) {
    for (var row : rows) {
      try (var scope = Scope.open()) {
        backward(decoder, row, Tap.NONE);
      }
    }
    var gradients = new ArrayList<Tensor>();
    for (var weight : decoder.weights().all().values()) {
      try (var scope = Scope.open()) {
        gradients.add(owner.own(new Tensor(weight.grad())));
        weight.mutable_grad().reset();
      }
    }
    return gradients;
  }

  private static double dot(List<Tensor> left, List<Tensor> right) {
    double sum = 0;
    for (int i = 0; i < left.size(); i++) {
      try (var scope = Scope.open()) {
        var product = left.get(i).to(ScalarType.Double).mul(right.get(i).to(ScalarType.Double));
        sum += product.sum().item_double();
      }
    }
    return sum;
  }

  /** Gradients of one row's summed cross entropy where its answer is predicted, by slot. */
  private static Map<Integer, double[][]> gradients(
      Decoder decoder, Example row, List<Integer> slots) {
    try (var scope = Scope.open();
        var kept = new TensorOwner()) {
      var seen = new HashMap<Integer, Tensor>();
      backward(decoder, row, List.of(new Keeper(slots, seen, kept)));
      var index = predicting(row);
      var gradients = new HashMap<Integer, double[][]>();
      seen.forEach(
          (slot, states) ->
              gradients.put(slot, rows(states.grad().select(0, 0).index_select(0, index))));
      return gradients;
    }
  }

  /**
   * Takes the summed cross entropy of a row's answer back through the model, the head piece by
   * piece, so that there are never logits of all tokens.
   */
  private static void backward(Decoder decoder, Example row, List<Tap> taps) {
    long[] ids = IntStream.of(row.ids()).asLongStream().toArray();
    long[] wanted = learnt(row).mapToLong(t -> row.ids()[t]).toArray();
    var tokens = Tokens.rightPadded(Tensors.of(ids, 1, ids.length));
    var hidden = decoder.forward(tokens, AdapterMode.ON, taps);
    var states = hidden.select(0, 0).index_select(0, predicting(row));
    var top = states.detach().requires_grad_(true);
    for (int from = 0; from < wanted.length; from += PIECE) {
      try (var scope = Scope.open()) {
        long[] labels = Arrays.copyOfRange(wanted, from, Math.min(from + PIECE, wanted.length));
        var logits = decoder.logits(top.narrow(0, from, labels.length));
        var index = Tensors.of(labels, labels.length, 1);
        logits.log_softmax(1).gather(1, index).sum().neg().backward();
      }
    }
    TrainingPass.backward(states, top.grad());
  }

  private static IntStream learnt(Example row) {
    return IntStream.range(1, row.length()).filter(t -> row.target()[t]);
  }

  /** Where a row's answer is predicted from, int64. */
  private static Tensor predicting(Example row) {
    long[] before = learnt(row).mapToLong(t -> t - 1L).toArray();
    return Tensors.of(before, before.length);
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

  /** Keeps slots with their gradients; the graph begins at the first of them. */
  private record Keeper(List<Integer> slots, Map<Integer, Tensor> seen, TensorOwner owner)
      implements Tap {
    @Override
    public boolean wants(Site site) {
      return site.kind() == Site.Kind.BLOCK_INPUT && slots.contains(site.layer());
    }

    @Override
    public Tensor at(Site site, Tensor hidden) {
      var state = seen.isEmpty() ? hidden.detach().requires_grad_(true) : hidden;
      state.retain_grad();
      seen.put(site.layer(), owner.own(state));
      return state;
    }
  }
}
