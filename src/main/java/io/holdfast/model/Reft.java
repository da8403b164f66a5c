package io.holdfast.model;

import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * A learnt intervention on the residual stream (LoReFT, Wu et al. 2024), at every token:
 *
 * <pre>F(h) = h + R^T (W h + b - R h)</pre>
 *
 * which moves h inside the row space of R alone. Computed in float32.
 *
 * @param r {@code [k, d]}, orthonormal rows
 * @param w {@code [k, d]}; where it is R, and b is zero, F is the identity
 * @param b {@code [k]}
 */
public record Reft(Tensor r, Tensor w, Tensor b) {
  /** The states {@code [batch, time, d]} after the intervention, in their own type. */
  Tensor apply(Tensor hidden) {
    var h = hidden.to(ScalarType.Float);
    var off = torch.linear(h, w.sub(r)).add(b);
    return h.add(off.matmul(r)).to(hidden.scalar_type());
  }

  /**
   * Makes the rows of R orthonormal again, which an update leaves almost so: by QR, with the signs
   * that keep each row where it points.
   */
  public void orthonormalize() {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var qr = torch.linalg_qr(r.t().to(ScalarType.Double), "reduced");
      var signs = torch.sign(torch.diagonal(qr.get1()));
      r.copy_(qr.get0().mul(signs).t());
    }
  }
}
