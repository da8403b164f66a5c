package io.holdfast.bench;

import io.holdfast.kernels.BlockKernels;
import io.holdfast.kernels.BlockKernels.Activation;
import io.holdfast.kernels.DType;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.function.Consumer;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;

/** The pieces of a decoder's block on rows of hidden states, each forward and back. */
final class BlockBench {
  private static final double EPS = 1e-6;

  private final BlockKernels kernels;
  private final DType dtype;
  private final long n;
  private final long d;
  private final Consumer<Work> measure;

  private BlockBench(BlockKernels kernels, DType dtype, Sizes sizes, Consumer<Work> measure) {
    this.kernels = kernels;
    this.dtype = dtype;
    this.n = sizes.rows();
    this.d = sizes.d();
    this.measure = measure;
  }

  static void run(BlockKernels kernels, DType dtype, Sizes sizes, Consumer<Work> measure) {
    var bench = new BlockBench(kernels, dtype, sizes, measure);
    bench.norm();
    bench.rotate(Math.min(128, sizes.d()));
    bench.gate();
  }

  /** Work that reads or writes every value some times, and besides that some bytes. */
  private void measure(
      String kernel,
      int transfers,
      double besides,
      double operations,
      Runnable ours,
      Runnable libTorch) {
    double values = (double) n * d;
    measure.accept(
        new Work(
            kernel,
            dtype,
            "%d x %d".formatted(n, d),
            values * dtype.bytes() * transfers + besides,
            values * operations,
            ours,
            libTorch));
  }

  private Tensor random() {
    return KernelBench.random(dtype, 1, n, d);
  }

  private void norm() {
    try (var scope = Scope.open()) {
      var x = random();
      var g = random();
      var w = KernelBench.random(dtype, 1, 1, d);
      var r = x.to(torch.ScalarType.Float).square().mean(new long[] {1}, true, null);
      r = r.add(new Scalar(EPS)).rsqrt();
      var scale = r.to(x.scalar_type());
      var inverse = Tensors.memory(r);
      var sums = Tensors.memory(Tensors.empty(d));
      var states = Tensors.matrix(x);
      var gain = Tensors.matrix(w);
      var gradient = Tensors.matrix(g);
      var out = Tensors.matrix(random());
      var weight = new TensorOptional(w.view(d));
      measure(
          "rms norm",
          2,
          0,
          5,
          () -> kernels.rmsNorm(states, gain, EPS, false, out, inverse),
          () -> torch.rms_norm(x, new long[] {d}, weight, new DoubleOptional(EPS)));
      measure(
          "rms norm back",
          3,
          0,
          12,
          () -> kernels.rmsNormBackward(states, gain, false, inverse, gradient, out, sums),
          () -> {
            var normed = x.mul(scale);
            var along = g.mul(w);
            g.mul(normed).sum(0);
            along.sub(normed.mul(along.mul(normed).mean(new long[] {1}, true, null))).mul(scale);
          });
    }
  }

  private void rotate(long head) {
    try (var scope = Scope.open()) {
      var x = random();
      var angles = Tensors.placed(torch.rand(n, head));
      var cos = angles.cos().to(x.scalar_type());
      var sin = angles.sin().to(x.scalar_type());
      var states = Tensors.matrix(x);
      var cosines = Tensors.matrix(cos);
      var sines = Tensors.matrix(sin);
      var heads = x.view(n, d / head, head);
      var c = cos.unsqueeze(1);
      var s = sin.unsqueeze(1);
      double tables = 2.0 * n * head * dtype.bytes();
      measure(
          "rotate",
          2,
          tables,
          3,
          () -> kernels.rotate(states, head, cosines, sines, false),
          () -> heads.mul(c).add(heads.roll(new long[] {head / 2}, -1).mul(s)));
      measure(
          "rotate back",
          2,
          tables,
          3,
          () -> kernels.rotate(states, head, cosines, sines, true),
          () -> heads.mul(c).add(heads.mul(s).roll(new long[] {head / 2}, -1)));
    }
  }

  private void gate() {
    try (var scope = Scope.open()) {
      var a = random();
      var b = random();
      var g = random();
      var gate = Tensors.matrix(a);
      var up = Tensors.matrix(b);
      var gradient = Tensors.matrix(g);
      var da = Tensors.matrix(random());
      var db = Tensors.matrix(random());
      measure(
          "gate",
          3,
          0,
          4 + Ceiling.EXPONENTIAL,
          () -> kernels.gate(gate, up, Activation.SILU, da),
          () -> torch.silu(a).mul(b));
      measure(
          "gate back",
          5,
          0,
          10 + Ceiling.EXPONENTIAL,
          () -> kernels.gateBackward(gate, up, Activation.SILU, gradient, da, db),
          () -> {
            torch.silu_backward(g.mul(b), a);
            g.mul(torch.silu(a));
          });
    }
  }
}
