package io.holdfast.model;

import static org.bytedeco.pytorch.global.torch.rms_norm;

import io.holdfast.torch.Tensors;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * A root-mean-square norm over the last dimension: {@code x / sqrt(mean(x^2) + eps) * gain}, where
 * the gain is the weight, or one plus it. It is computed in float32 whatever the type of the
 * states.
 */
final class Norm {
  private final Tensor weight;
  private final double eps;
  private final boolean onePlus;
  private final boolean wide;

  Norm(Tensor weight, Architecture.Norms norms) {
    this.weight = weight;
    this.eps = norms.eps();
    this.onePlus = norms.onePlus();
    this.wide = Tensors.isFloat(weight);
  }

  Tensor apply(Tensor x, Pieces pieces) {
    if (pieces.norms(x, weight)) {
      return pieces.norm(x, weight, eps, onePlus);
    }
    if (wide) {
      return normed(x, new TensorOptional(onePlus ? weight.add(new Scalar(1)) : weight));
    }
    // Rounded where the families' own code rounds: one plus the weight is a gain in float32, a
    // weight alone one in the type of the states.
    var values = x.to(ScalarType.Float);
    return onePlus
        ? normed(values, new TensorOptional(weight.to(ScalarType.Float).add(new Scalar(1))))
            .to(x.scalar_type())
        : normed(values, new TensorOptional()).to(x.scalar_type()).mul(weight);
  }

  private Tensor normed(Tensor x, TensorOptional gain) {
    return rms_norm(x, new long[] {weight.size(0)}, gain, new DoubleOptional(eps));
  }
}
