package io.holdfast.model;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/**
 * The gated MLP of one block, {@code down(act(gate x) * up x)} (Shazeer 2020).
 *
 * @param inputs gate and up projections, or the one that computes both
 */
record GatedMlp(Architecture.Mlp shape, Projection[] inputs, Projection down) {
  /** What the MLP adds to the residual stream; {@code x} is {@code [batch, time, d]}, normed. */
  Tensor apply(Tensor x, AdapterMode mode, Pieces pieces) {
    Tensor gate;
    Tensor up;
    if (shape.fused()) {
      var both = inputs[0].apply(x, mode);
      long width = both.size(-1) / 2;
      gate = both.narrow(-1, 0, width);
      up = both.narrow(-1, width, width);
    } else {
      gate = inputs[0].apply(x, mode);
      up = inputs[1].apply(x, mode);
    }
    boolean fused = pieces.gates(shape.activation(), gate, up);
    var activated = fused ? pieces.gate(shape.activation(), gate, up) : activated(gate).mul(up);
    return down.apply(activated, mode);
  }

  private Tensor activated(Tensor gate) {
    return switch (shape.activation()) {
      case SILU -> torch.silu(gate);
      case GELU -> torch.gelu(gate);
      case GELU_TANH -> torch.gelu(gate, "tanh");
    };
  }
}
