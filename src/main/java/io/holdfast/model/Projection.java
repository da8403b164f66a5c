package io.holdfast.model;

import io.holdfast.torch.Tensors;
import java.util.function.BiConsumer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/** One linear map of the decoder, with a low-rank adapter where one was attached. */
final class Projection {
  private final String module;
  private final Tensor weight;
  private final TensorOptional bias;
  private LowRank adapter;
  private BiConsumer<String, Tensor> watcher;

  /**
   * A linear map.
   *
   * @param module its name in the checkpoint, without {@code .weight}
   * @param weight {@code [out, in]}
   * @param bias {@code [out]} or null
   */
  Projection(String module, Tensor weight, Tensor bias) {
    this.module = module;
    this.weight = weight;
    this.bias = bias == null ? new TensorOptional() : new TensorOptional(bias);
    this.bias.retainReference();
  }

  String module() {
    return module;
  }

  Tensor weight() {
    return weight;
  }

  LowRank adapter() {
    return adapter;
  }

  void attach(LowRank newAdapter) {
    this.adapter = newAdapter;
  }

  /** Shows every input {@code [.., in]} to somebody, under the module's name; null to nobody. */
  void watch(BiConsumer<String, Tensor> newWatcher) {
    this.watcher = newWatcher;
  }

  /**
   * {@code x W^T + b}, plus {@code scale (dropout(x) A^T) B^T} where there is an adapter.
   *
   * @param x {@code [.., in]}
   */
  Tensor apply(Tensor x, AdapterMode mode) {
    if (watcher != null) {
      watcher.accept(module, x);
    }
    var y = torch.linear(x, weight, bias);
    if (adapter == null) {
      return y;
    }
    // As in PEFT: an adapter computes in its own type, float32, whatever the model's is.
    boolean same = Tensors.isFloat(weight) || !Tensors.isFloat(adapter.a());
    var own = same ? x : x.to(ScalarType.Float);
    boolean drop = mode == AdapterMode.TRAIN && adapter.dropout() > 0;
    var input = drop ? torch.dropout(own, adapter.dropout(), true) : own;
    var update = torch.linear(torch.linear(input, adapter.a()), adapter.b());
    var sum = y.add(update, new Scalar(adapter.scale()));
    return same ? sum : sum.to(y.scalar_type());
  }

  void release() {
    bias.releaseReference();
  }
}
