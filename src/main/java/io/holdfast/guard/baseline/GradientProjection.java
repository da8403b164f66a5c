package io.holdfast.guard.baseline;

import io.holdfast.HoldfastException;
import io.holdfast.guard.Guard;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.guard.Tuning;
import io.holdfast.kernels.Matrix;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Tensors;
import java.lang.foreign.ValueLayout;
import java.util.regex.Pattern;
import org.bytedeco.pytorch.Tensor;

/**
 * Plain gradient projection (the family of Farajtabar et al. 2020, "Orthogonal Gradient Descent",
 * eq. 4, in the output space of weights): {@code G <- G - U (U^T G)} for every matrix that writes
 * to the residual stream, U the safety basis behind its block. What the optimizer then makes of the
 * gradient, and every other way into U, is left alone. Reimplementation from public description.
 */
public final class GradientProjection implements Guard {
  private static final Pattern WRITER =
      Pattern.compile(
          "layers\\.(\\d+)\\.(?:self_attn\\.o_proj|mlp\\.down_proj)\\.(?:weight|lora_B\\.weight)$");

  private final SafetySubspace subspace;
  private Tuning tuning;

  /** With a subspace, which it closes with itself. */
  public GradientProjection(SafetySubspace subspace) {
    this.subspace = subspace;
  }

  @Override
  public String name() {
    return "gradient projection, rank %d, slots %s".formatted(subspace.rank(), subspace.layers());
  }

  @Override
  public void begin(Tuning run) {
    tuning = run;
    boolean any = run.parameters().keySet().stream().anyMatch(name -> slot(name) >= 0);
    if (!any) {
      throw HoldfastException.usage(
          "guard.baselines.gradient_projection: no matrix that writes to slots %s is trained",
          subspace.layers());
    }
  }

  /** The slot behind the block that a weight writes to, if it is held, else -1. */
  private int slot(String name) {
    var writer = WRITER.matcher(name);
    int slot = writer.find() ? Integer.parseInt(writer.group(1)) + 1 : -1;
    return subspace.layers().contains(slot) ? slot : -1;
  }

  @Override
  public void beforeUpdate() {
    try (var noGrad = NoGrad.on()) {
      tuning
          .parameters()
          .forEach(
              (name, weight) -> {
                int slot = slot(name);
                if (slot >= 0 && weight.grad().defined()) {
                  var u = tensor(subspace.basis(slot));
                  var gradient = weight.mutable_grad();
                  gradient.sub_(u.mm(u.t().mm(gradient)));
                }
              });
    }
  }

  private static Tensor tensor(Matrix basis) {
    var values = new float[Math.toIntExact(basis.rows() * basis.columns())];
    for (int i = 0; i < values.length; i++) {
      long row = i / basis.columns();
      values[i] =
          basis
              .data()
              .getAtIndex(ValueLayout.JAVA_FLOAT, row * basis.stride() + i % basis.columns());
    }
    return Tensors.of(values, basis.rows(), basis.columns());
  }

  @Override
  public void close() {
    subspace.close();
  }
}
