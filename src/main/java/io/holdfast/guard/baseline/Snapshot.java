package io.holdfast.guard.baseline;

import io.holdfast.torch.NoGrad;
import io.holdfast.torch.TensorOwner;
import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;

/** Weights as they were at some moment. */
final class Snapshot implements AutoCloseable {
  private final Map<String, Tensor> kept = new LinkedHashMap<>();
  private final TensorOwner owner = new TensorOwner();

  /** A copy of weights. */
  Snapshot(Map<String, Tensor> weights) {
    weights.forEach((name, weight) -> kept.put(name, owner.own(weight.detach().clone())));
  }

  /** One of them. */
  Tensor get(String name) {
    return kept.get(name);
  }

  /** All of them. */
  Map<String, Tensor> all() {
    return kept;
  }

  /** Copies the weights anew. */
  void renew(Map<String, Tensor> weights) {
    try (var noGrad = NoGrad.on()) {
      kept.forEach((name, copy) -> copy.copy_(weights.get(name)));
    }
  }

  /** Makes the weights what they were, bit for bit. */
  void restore(Map<String, Tensor> weights) {
    try (var noGrad = NoGrad.on()) {
      kept.forEach((name, copy) -> weights.get(name).copy_(copy));
    }
  }

  /**
   * Adds the gradient of {@code weight/2 sum_i importance_i (w_i - kept_i)^2} to the weights that
   * have one: those without are not trained.
   *
   * @param importance by name, or null for 1
   * @return the squared distance, weighted by importance
   */
  double pull(Map<String, Tensor> weights, Map<String, Tensor> importance, double strength) {
    double sum = 0;
    try (var noGrad = NoGrad.on()) {
      for (var entry : kept.entrySet()) {
        var weight = weights.get(entry.getKey());
        if (weight.grad().defined()) {
          var moved = weight.sub(entry.getValue());
          var slope = importance == null ? moved : moved.mul(importance.get(entry.getKey()));
          Gradients.add(weight, slope, strength);
          sum += slope.mul(moved).sum().item_double();
        }
      }
    }
    return sum;
  }

  @Override
  public void close() {
    owner.close();
  }
}
