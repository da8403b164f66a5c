package io.holdfast.model;

import io.holdfast.torch.ClosedForm;
import io.holdfast.torch.ComputeDevice;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import java.util.List;
import org.bytedeco.pytorch.Tensor;

/**
 * Activation checkpointing by block. The forward pass records nothing; the way back goes from block
 * to block with a graph of one block at a time, cut off at the block's input, whose gradient is the
 * next one's to go back from.
 */
final class RecomputedPass implements TrainingPass {
  private final Decoder decoder;
  private final Tokens tokens;
  private final Decoder.Pass pass;
  private final boolean[] trainedBefore;
  private final ClosedForm forms = new ClosedForm();
  private final TensorOwner owner = new TensorOwner();
  private final Tensor[] slots;
  private final Tensor[] randomStates;
  private final Tensor top;
  private final Tensor hidden;

  RecomputedPass(Decoder decoder, Tokens tokens, List<Tap> taps) {
    this.decoder = decoder;
    this.tokens = tokens;
    this.pass = decoder.pass(tokens, AdapterMode.TRAIN, taps, forms);
    // What all blocks share must outlive the scope of the first one.
    pass.sight().prepare(decoder.architecture());
    this.trainedBefore = decoder.trainedBefore();
    int depth = decoder.architecture().depth();
    this.slots = new Tensor[depth + 1];
    this.randomStates = new Tensor[depth];
    try (var noGrad = NoGrad.on()) {
      slots[0] = owner.own(decoder.embedded(tokens.ids()));
      for (int layer = 0; layer < depth; layer++) {
        try (var block = Scope.open()) {
          randomStates[layer] = owner.own(ComputeDevice.current().generator().get_state());
          slots[layer + 1] = owner.own(decoder.block(layer, slots[layer], pass));
        }
      }
    }
    this.top = leaf(depth);
    this.hidden = decoder.end(top, pass);
  }

  /** A slot as the beginning of a graph. */
  private Tensor leaf(int slot) {
    return slots[slot].detach().requires_grad_(trainedBefore[slot]);
  }

  @Override
  public Tensor hidden() {
    return hidden;
  }

  @Override
  public void backward(Tensor gradient) {
    if (hidden.requires_grad()) {
      TrainingPass.backward(hidden, gradient);
    }
    int slot = slots.length - 1;
    var above = trainedBefore[slot] ? gradient(top) : null;
    for (; slot > 0 && trainedBefore[slot]; slot--) {
      owner.release(slots[slot]);
      above = through(slot - 1, above);
    }
    if (trainedBefore[0]) {
      try (var start = Scope.open()) {
        TrainingPass.backward(decoder.embedded(tokens.ids()), above);
      }
    }
  }

  /** Back through one block; returns the gradient of its input, or null where nobody asks. */
  private Tensor through(int layer, Tensor above) {
    try (var block = Scope.open()) {
      ComputeDevice.current().generator().set_state(randomStates[layer]);
      var input = leaf(layer);
      TrainingPass.backward(decoder.block(layer, input, pass), above);
      owner.release(above);
      return trainedBefore[layer] ? gradient(input) : null;
    }
  }

  /** A gradient that outlives its leaf: what the leaf gives is a view into itself. */
  private Tensor gradient(Tensor leaf) {
    return owner.own(new Tensor(leaf.grad()));
  }

  @Override
  public void close() {
    forms.close();
    owner.close();
  }
}
