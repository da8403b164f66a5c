package io.holdfast.model;

import io.holdfast.kernels.BlockKernels;
import io.holdfast.kernels.BlockKernels.Activation;
import io.holdfast.kernels.DType;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels;
import io.holdfast.torch.ClosedForm;
import io.holdfast.torch.Tensors;
import java.util.EnumSet;
import java.util.Set;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/**
 * Norms, rotations and gated activations of one pass as native kernels, each in one sweep over
 * memory where LibTorch takes four to ten, with its way back in closed form.
 *
 * <p>{@code -Dholdfast.fused=false} leaves all of them to LibTorch, as does a machine without
 * native kernels or {@code HOLDFAST_KERNELS=reference}; results agree within rounding. So does a
 * single piece whose tensors a kernel does not take.
 *
 * @param kernels null where LibTorch does everything
 * @param forms the ways back of the pass, or null where none was announced
 */
record Pieces(BlockKernels kernels, ClosedForm forms) {
  private static final Set<DType> TYPES = EnumSet.of(DType.FLOAT32, DType.BFLOAT16, DType.FLOAT16);

  /** The pieces of a pass, as the flag and the machine have them. */
  static Pieces of(ClosedForm forms) {
    boolean on =
        Boolean.parseBoolean(System.getProperty("holdfast.fused", "true"))
            && !"reference".equals(System.getenv("HOLDFAST_KERNELS"));
    return new Pieces(on ? KernelBackends.cpu().map(Kernels::block).orElse(null) : null, forms);
  }

  /** Whether a kernel takes these tensors. */
  private boolean take(Tensor first, Tensor second) {
    return kernels != null
        && first.is_cpu()
        && TYPES.contains(Tensors.dtype(first.scalar_type()))
        && first.scalar_type().intern() == second.scalar_type().intern()
        && (forms != null || !recorded(first, second));
  }

  private static boolean recorded(Tensor first, Tensor second) {
    return ClosedForm.records(first) || ClosedForm.records(second);
  }

  /** What a graph may begin at: where one of two is trained, the other takes a gradient, too. */
  private static Tensor input(Tensor x) {
    return x.requires_grad() ? x : x.detach().requires_grad_(true);
  }

  /** Whether {@link #norm} takes a state and a weight. */
  boolean norms(Tensor x, Tensor weight) {
    return take(x, weight) && x.is_contiguous();
  }

  /** The norm of {@link Norm}. */
  Tensor norm(Tensor x, Tensor weight, double eps, boolean onePlus) {
    var input = x.detach();
    var gain = Tensors.matrix(weight.detach().view(1, weight.numel()));
    var y = torch.empty_like(input);
    boolean recorded = recorded(x, weight);
    var inverse = recorded ? Tensors.empty(x.numel() / weight.numel()) : null;
    kernels.rmsNorm(
        Tensors.matrix(input),
        gain,
        eps,
        onePlus,
        Tensors.matrix(y),
        inverse == null ? null : Tensors.memory(inverse));
    return recorded
        ? forms.record(
            input(x), y, g -> normBack(input, weight, onePlus, inverse, g), input, inverse)
        : y;
  }

  private Tensor normBack(Tensor x, Tensor weight, boolean onePlus, Tensor inverse, Tensor g) {
    var dx = torch.empty_like(x);
    var dw = weight.requires_grad() ? Tensors.empty(weight.numel()) : null;
    kernels.rmsNormBackward(
        Tensors.matrix(x),
        Tensors.matrix(weight.detach().view(1, weight.numel())),
        onePlus,
        Tensors.memory(inverse),
        Tensors.matrix(g.contiguous()),
        Tensors.matrix(dx),
        dw == null ? null : Tensors.memory(dw));
    if (dw != null) {
      accumulate(weight, dw.to(weight.scalar_type()));
    }
    return dx;
  }

  private static void accumulate(Tensor weight, Tensor gradient) {
    if (weight.grad().defined()) {
      weight.mutable_grad().add_(gradient);
    } else {
      weight.mutable_grad().put(gradient);
    }
  }

  /** Whether {@link #rotate} takes heads that nobody else reads. */
  boolean rotates(Tensor x, Tensor cos) {
    return take(x, cos) && Tensors.hasRows(x);
  }

  /**
   * Turns heads in place.
   *
   * @param x {@code [batch, time, heads * head]}
   * @param cos {@code [.., width]}, one row for each time, or for each time of each batch
   */
  Tensor rotate(Tensor x, long head, Tensor cos, Tensor sin) {
    kernels.rotate(Tensors.rows(x), head, Tensors.matrix(cos), Tensors.matrix(sin), false);
    if (!ClosedForm.records(x)) {
      return x;
    }
    return forms.recordInPlace(
        x,
        gradient -> {
          // Nobody else has the gradient of heads that one attention reads.
          var g = gradient.contiguous();
          kernels.rotate(Tensors.matrix(g), head, Tensors.matrix(cos), Tensors.matrix(sin), true);
          return g;
        },
        cos,
        sin);
  }

  /** Whether {@link #gate} takes the two projections of an MLP. */
  boolean gates(Architecture.Activation activation, Tensor gate, Tensor up) {
    return activation(activation) != null
        && take(gate, up)
        && Tensors.hasRows(gate)
        && Tensors.hasRows(up);
  }

  /** {@code act(gate) * up}; on the way back the memory of both is written over. */
  Tensor gate(Architecture.Activation activation, Tensor gate, Tensor up) {
    var kernel = activation(activation);
    var a = gate.detach();
    var b = up.detach();
    var y = Tensors.empty(a.scalar_type(), Tensors.shape(a));
    kernels.gate(Tensors.rows(a), Tensors.rows(b), kernel, Tensors.matrix(y));
    if (!recorded(gate, up)) {
      return y;
    }
    return forms.record(
        input(gate),
        input(up),
        y,
        gradient -> {
          var first = Tensors.rows(a);
          var second = Tensors.rows(b);
          kernels.gateBackward(
              first, second, kernel, Tensors.matrix(gradient.contiguous()), first, second);
          return new ClosedForm.Pair(a, b);
        },
        a,
        b);
  }

  private static Activation activation(Architecture.Activation activation) {
    return switch (activation) {
      case SILU -> Activation.SILU;
      case GELU_TANH -> Activation.GELU_TANH;
      case GELU -> null;
    };
  }
}
