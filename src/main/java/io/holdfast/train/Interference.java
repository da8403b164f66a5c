package io.holdfast.train;

import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.guard.ExampleWeight;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.RowLoss;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.model.TrainingPass;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * How much of what the task asks of the hidden states lies in the safety subspace: with {@code g}
 * the gradient of the cross entropy by the states from which answer tokens are predicted,
 *
 * <pre>I = sum |U^T g|^2 / sum |g|^2,   times d/k so that 1 is chance</pre>
 */
final class Interference {
  private static final int BATCH = 8;

  private Interference() {}

  /**
   * The interference by layer, normalised.
   *
   * @param model whose parameters' gradients, where they are trained, are added to
   * @param rows of the task
   */
  static SortedMap<Integer, Double> of(
      Decoder model, List<Example> rows, SafetySubspace subspace, Kernels kernels) {
    var inside = new HashMap<Integer, Double>();
    var all = new HashMap<Integer, Double>();
    var head =
        new FusedHead(
            kernels,
            model.head().detach(),
            null,
            new RowLoss(Kernels.KlDirection.FORWARD, 0, model.architecture().logitCap()));
    for (int from = 0; from < rows.size(); from += BATCH) {
      var batch = Batch.of(rows.subList(from, Math.min(from + BATCH, rows.size())), 0);
      add(model, batch, subspace, head, inside, all);
    }
    var normalised = new TreeMap<Integer, Double>();
    for (int layer : subspace.layers()) {
      double width = model.architecture().hidden();
      normalised.put(layer, inside.get(layer) / all.get(layer) * width / subspace.rank());
    }
    return normalised;
  }

  private static void add(
      Decoder model,
      Batch batch,
      SafetySubspace subspace,
      FusedHead head,
      Map<Integer, Double> inside,
      Map<Integer, Double> all) {
    try (var scope = Scope.open()) {
      var states = new States(subspace.layers(), new HashMap<>());
      var hidden = model.forward(Tokens.of(batch), AdapterMode.ON, List.of(states));
      var gradient = torch.zeros_like(hidden).view(-1, hidden.size(-1));
      var plain = Collections.nCopies(batch.examples().size(), ExampleWeight.PLAIN);
      var rows = LossRows.of(batch, plain, batch.supervised(), 0);
      head.lossAndGradient(hidden, rows, null, gradient);
      // What stands above the last block has no state to ask for.
      TrainingPass.backward(hidden, gradient);
      long[] answers =
          IntStream.range(0, batch.labels().length)
              .filter(t -> batch.labels()[t] >= 0)
              .mapToLong(t -> t)
              .toArray();
      var index = Tensors.of(answers, answers.length);
      for (int layer : subspace.layers()) {
        var g =
            states
                .seen()
                .get(layer)
                .grad()
                .reshape(-1, hidden.size(-1))
                .index_select(0, index)
                .to(ScalarType.Double);
        var u = Tensors.of(subspace.directions(layer).vectors());
        inside.merge(layer, g.matmul(u.t()).square().sum().item_double(), Double::sum);
        all.merge(layer, g.square().sum().item_double(), Double::sum);
        states.seen().get(layer).releaseReference();
      }
    }
  }

  /** Asks autograd for the gradients of states; the graph begins at the first of them. */
  private record States(List<Integer> layers, Map<Integer, Tensor> seen) implements Tap {
    @Override
    public boolean wants(Site site) {
      return site.kind() == Site.Kind.BLOCK_INPUT && layers.contains(site.layer());
    }

    @Override
    public Tensor at(Site site, Tensor hidden) {
      var state = seen.isEmpty() ? hidden.detach().requires_grad_(true) : hidden;
      state.retain_grad();
      // The scope of the forward pass must not take it along.
      state.retainReference();
      seen.put(site.layer(), state);
      return state;
    }
  }
}
