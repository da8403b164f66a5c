package io.holdfast.model;

import io.holdfast.torch.ClosedForm;
import java.util.List;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorArrayRefOptional;

/**
 * A forward pass through a decoder, adapters with their dropout, and the way back through it. It
 * lives in the scope in which it was made.
 */
public sealed interface TrainingPass extends AutoCloseable
    permits RecomputedPass, TrainingPass.Kept {
  /** Hidden states after the final norm, {@code [batch, time, d]}; in the scope of the pass. */
  Tensor hidden();

  /**
   * Adds the gradient of every trained parameter to what it has; once.
   *
   * @param gradient of the hidden states
   */
  void backward(Tensor gradient);

  @Override
  void close();

  /** A pass that keeps the activations which its way back needs. */
  static TrainingPass kept(Decoder decoder, Tokens tokens, List<Tap> taps) {
    var forms = new ClosedForm();
    try {
      return new Kept(decoder.forward(tokens, AdapterMode.TRAIN, taps, forms), forms);
    } catch (RuntimeException e) {
      forms.close();
      throw e;
    }
  }

  /**
   * A pass that keeps the input of each block alone and computes the rest once more on the way back
   * (Chen et al. 2016), with the same dropout. Taps are shown each site twice, first while nothing
   * is recorded; edits of gradients are made once.
   */
  static TrainingPass recomputed(Decoder decoder, Tokens tokens, List<Tap> taps) {
    return new RecomputedPass(decoder, tokens, taps);
  }

  /** Backpropagation from a tensor with a given gradient. */
  static void backward(Tensor from, Tensor gradient) {
    from.backward(gradient.view_as(from), new BoolOptional(), false, new TensorArrayRefOptional());
  }

  /** The pass of plain backpropagation. */
  record Kept(Tensor hidden, ClosedForm forms) implements TrainingPass {
    @Override
    public void backward(Tensor gradient) {
      TrainingPass.backward(hidden, gradient);
    }

    @Override
    public void close() {
      forms.close();
    }
  }
}
