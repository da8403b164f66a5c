package io.holdfast.guard.baseline;

import io.holdfast.torch.NoGrad;
import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/** The gradients of weights, to be set aside while a method makes passes of its own. */
final class Gradients {
  private Gradients() {}

  /** Takes the gradients off their weights; they live in the caller's scope. */
  static Map<String, Tensor> take(Map<String, Tensor> weights) {
    var taken = new LinkedHashMap<String, Tensor>();
    weights.forEach(
        (name, weight) -> {
          if (weight.grad().defined()) {
            taken.put(name, new Tensor(weight.grad()));
            weight.mutable_grad().reset();
          }
        });
    return taken;
  }

  /** Puts them back in the place of what is there, the same memory. */
  static void put(Map<String, Tensor> weights, Map<String, Tensor> gradients) {
    take(weights);
    gradients.forEach((name, gradient) -> weights.get(name).mutable_grad().put(gradient));
  }

  /** Adds {@code factor * part} to the gradient of a weight. */
  static void add(Tensor weight, Tensor part, double factor) {
    try (var noGrad = NoGrad.on()) {
      if (weight.grad().defined()) {
        weight.mutable_grad().add_(part, new Scalar(factor));
      } else {
        weight.mutable_grad().put(part.mul(new Scalar(factor)));
      }
    }
  }

  /** The 2-norm of all together. */
  static double norm(Iterable<Tensor> gradients) {
    double sum = 0;
    for (var gradient : gradients) {
      sum += gradient.to(ScalarType.Double).square().sum().item_double();
    }
    return Math.sqrt(sum);
  }
}
