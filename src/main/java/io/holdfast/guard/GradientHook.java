package io.holdfast.guard;

import io.holdfast.kernels.DType;
import io.holdfast.kernels.Matrix;
import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorBase;
import org.bytedeco.pytorch.TensorTensorHook;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * Called by autograd with the gradient of hidden states, which it edits. There is one hook for all
 * layers, because JavaCPP has only a handful of callbacks of a type: the residual stream is a
 * chain, so backward meets the states in the reverse of the order in which forward made them. It
 * outlives the scopes of the steps, because LibTorch keeps only a pointer to it.
 */
final class GradientHook extends TensorTensorHook {
  /** What is done to a gradient. */
  @FunctionalInterface
  interface Edit {
    /**
     * Edits in place.
     *
     * @param layer slot of the residual stream
     * @param gradient float32 {@code [batch * time, d]}
     * @param hidden the state it is the gradient of, the same shape
     */
    void edit(int layer, Matrix gradient, Matrix hidden);
  }

  private record Attached(int layer, Tensor hidden) {}

  private final Deque<Attached> attached = new ArrayDeque<>();
  private Edit edit;
  private Tensor handed;

  GradientHook() {
    retainReference();
  }

  /**
   * The tap of one pass, whose states at these slots get their gradients edited; those of an
   * earlier pass are forgotten.
   */
  Tap tap(Collection<Integer> layers, Edit newEdit) {
    begin(newEdit);
    return new Tap() {
      @Override
      public boolean wants(Site site) {
        return site.kind() == Site.Kind.BLOCK_INPUT && layers.contains(site.layer());
      }

      @Override
      public Tensor at(Site site, Tensor hidden) {
        if (hidden.requires_grad()) {
          attach(site.layer(), hidden);
        }
        return hidden;
      }
    };
  }

  private void begin(Edit newEdit) {
    attached.forEach(state -> state.hidden().releaseReference());
    attached.clear();
    edit = newEdit;
  }

  private void attach(int layer, Tensor state) {
    var hidden = state.detach();
    hidden.retainReference();
    attached.push(new Attached(layer, hidden));
    state.register_hook(this);
  }

  @Override
  public TensorBase call(TensorBase gradient) {
    var state = attached.pop();
    try (var scope = Scope.open()) {
      // Autograd may share this gradient with another branch: the edit goes to a copy, in
      // float32 and then back to the type of the states.
      var given = new Tensor(gradient);
      var edited = Tensors.copy(given, DType.FLOAT32);
      var hidden = state.hidden().to(ScalarType.Float);
      edit.edit(state.layer(), Tensors.matrix(edited), Tensors.matrix(hidden));
      return hand(edited.to(given.scalar_type()));
    } finally {
      state.hidden().releaseReference();
    }
  }

  /** A GPU's gradients come on a thread of LibTorch's, where no scope would free the result. */
  private Tensor hand(Tensor result) {
    result.retainReference();
    takeBack();
    handed = result;
    return result;
  }

  private void takeBack() {
    if (handed != null) {
      handed.releaseReference();
      handed = null;
    }
  }

  void release() {
    begin(null);
    takeBack();
    releaseReference();
  }
}
