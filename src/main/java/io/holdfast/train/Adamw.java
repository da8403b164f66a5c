package io.holdfast.train;

import io.holdfast.kernels.AdamwStep;
import io.holdfast.kernels.AdamwTensor;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Matrix;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * The AdamW optimizer over a set of named parameters, each step one pass over their memory.
 *
 * <p>It moves float32 parameters. Where the model computes in a narrower type it has rounded copies
 * of these masters (mixed precision, Micikevicius et al. 2018), and each step rounds the masters
 * anew. The gradient of a single backward pass is read in the type of the copies; several are added
 * up in float32.
 */
public final class Adamw implements AutoCloseable {
  /**
   * Its constants.
   *
   * @param weightDecay decoupled decay of matrices; norms and biases are spared
   */
  public record Settings(double beta1, double beta2, double eps, double weightDecay) {}

  private final Kernels kernels;
  private final Settings settings;
  private final SequencedMap<String, Tensor> parameters;
  private final Map<String, Tensor> rounded;
  private final SequencedMap<String, Tensor> firstMoments = new LinkedHashMap<>();
  private final SequencedMap<String, Tensor> secondMoments = new LinkedHashMap<>();
  private final TensorOwner owner = new TensorOwner();
  private long step;

  /** An optimizer with moments of zero. */
  public Adamw(Kernels kernels, Settings settings, SequencedMap<String, Tensor> parameters) {
    this(kernels, settings, parameters, Map.of());
  }

  /**
   * An optimizer with moments of zero.
   *
   * @param rounded what the model computes with in place of parameters of the same names
   */
  public Adamw(
      Kernels kernels,
      Settings settings,
      SequencedMap<String, Tensor> parameters,
      Map<String, Tensor> rounded) {
    this.kernels = kernels;
    this.settings = settings;
    this.parameters = parameters;
    this.rounded = rounded;
    try (var scope = Scope.open()) {
      parameters.forEach(
          (name, parameter) -> {
            firstMoments.put(name, owner.own(Tensors.zeros(Tensors.shape(parameter))));
            secondMoments.put(name, owner.own(Tensors.zeros(Tensors.shape(parameter))));
          });
    }
  }

  /** What it moves, by name. */
  public SequencedMap<String, Tensor> parameters() {
    return Collections.unmodifiableSequencedMap(parameters);
  }

  /** Steps taken. */
  public long steps() {
    return step;
  }

  /** The parameters of which the model has rounded copies, for a checkpoint. */
  public SequencedMap<String, Tensor> masters() {
    var masters = new LinkedHashMap<>(parameters);
    masters.keySet().retainAll(rounded.keySet());
    return masters;
  }

  /** First moments by parameter name, for a checkpoint. */
  public SequencedMap<String, Tensor> firstMoments() {
    return firstMoments;
  }

  /** Second moments by parameter name, for a checkpoint. */
  public SequencedMap<String, Tensor> secondMoments() {
    return secondMoments;
  }

  /** Goes on from a checkpoint whose moments have been copied into this optimizer's. */
  public void resume(long steps) {
    this.step = steps;
    round();
  }

  /**
   * Adds the gradients of one backward pass to those of the step, in float32. A step of a single
   * pass has no need of it.
   */
  void collect() {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      rounded.forEach(
          (name, copy) -> {
            if (copy.grad().defined()) {
              add(parameters.get(name), copy.grad());
              copy.mutable_grad().reset();
            }
          });
    }
  }

  private static void add(Tensor parameter, Tensor gradient) {
    if (parameter.grad().defined()) {
      parameter.mutable_grad().add_(gradient);
    } else {
      parameter.mutable_grad().put(gradient.to(ScalarType.Float));
    }
  }

  private void round() {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      rounded.forEach((name, copy) -> copy.copy_(parameters.get(name)));
    }
  }

  /** The 2-norm of all gradients together, NaN or infinite where one of them is. */
  public double gradientNorm() {
    try (var scope = Scope.open()) {
      var gradients =
          parameters.keySet().stream()
              .map(this::gradient)
              .filter(Tensor::defined)
              .map(Adamw::row)
              .toList();
      return kernels.norm(gradients);
    }
  }

  /**
   * Updates every parameter that has a gradient, and drops the gradients.
   *
   * @param rate learning rate
   * @param gradientScale factor on the gradients: the clipping coefficient
   */
  public void step(double rate, double gradientScale) {
    update(rate, gradientScale);
    dropGradients();
  }

  /** The same, with an edit of the moved parameters, from which the model's copies are rounded. */
  void step(double rate, double gradientScale, Runnable edit) {
    update(rate, gradientScale);
    edit.run();
    round();
    dropGradients();
  }

  private void update(double rate, double gradientScale) {
    step++;
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      List<AdamwTensor> tensors = new ArrayList<>();
      parameters.forEach(
          (name, parameter) -> {
            var gradient = gradient(name);
            if (gradient.defined()) {
              tensors.add(tensor(name, parameter, gradient));
            }
          });
      kernels.adamw(
          tensors,
          new AdamwStep(
              step, rate, settings.beta1(), settings.beta2(), settings.eps(), gradientScale));
    }
  }

  private AdamwTensor tensor(String name, Tensor parameter, Tensor gradient) {
    var copy = rounded.get(name);
    return new AdamwTensor(
        row(copy == null ? parameter : copy),
        row(gradient),
        row(firstMoments.get(name)),
        row(secondMoments.get(name)),
        copy == null ? null : row(parameter),
        parameter.dim() < 2 ? 0 : settings.weightDecay(),
        null,
        null);
  }

  /** The sum over backward passes, or what the only one left at the rounded copy. */
  private Tensor gradient(String name) {
    var sum = parameters.get(name).grad();
    return sum.defined() || !rounded.containsKey(name) ? sum : rounded.get(name).grad();
  }

  /** Forgets the gradients, so that the next backward pass hands over its own memory. */
  public void dropGradients() {
    try (var scope = Scope.open()) {
      parameters.values().forEach(parameter -> parameter.mutable_grad().reset());
      rounded.values().forEach(copy -> copy.mutable_grad().reset());
    }
  }

  /** An element-wise kernel does not care for the shape: one long row. */
  private static Matrix row(Tensor tensor) {
    var dense = tensor.is_contiguous() ? tensor : tensor.contiguous();
    return Matrix.dense(
        Tensors.memory(dense), 1, tensor.numel(), Tensors.dtype(tensor.scalar_type()));
  }

  @Override
  public void close() {
    dropGradients();
    owner.close();
  }
}
