package io.holdfast.model;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/**
 * A low-rank update {@code scale B A} of a weight (LoRA, Hu et al. 2021).
 *
 * @param a {@code [rank, in]}
 * @param b {@code [out, rank]}
 * @param scale {@code alpha / rank}, or {@code alpha / sqrt(rank)} when rank-stabilised
 * @param dropout probability with which an input value is dropped while training
 */
public record LowRank(Tensor a, Tensor b, double scale, double dropout) {
  /** The update itself, {@code [out, in]}, in the caller's scope. */
  public Tensor product() {
    return torch.mm(b, a).mul_(new Scalar(scale));
  }
}
