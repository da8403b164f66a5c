package io.holdfast.model;

import static org.bytedeco.pytorch.global.torch.rms_norm;

import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;

/**
 * A root-mean-square norm over the last dimension: {@code x / sqrt(mean(x^2) + eps) * gain}, where
 * the gain is the weight, or one plus it.
 */
final class Norm {
  private final Tensor weight;
  private final double eps;
  private final boolean onePlus;

  Norm(Tensor weight, Architecture.Norms norms) {
    this.weight = weight;
    this.eps = norms.eps();
    this.onePlus = norms.onePlus();
  }

  Tensor apply(Tensor x) {
    var gain = onePlus ? weight.add(new Scalar(1)) : weight;
    return rms_norm(
        x, new long[] {weight.size(0)}, new TensorOptional(gain), new DoubleOptional(eps));
  }
}
