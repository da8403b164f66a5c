package io.holdfast.bench;

import io.holdfast.kernels.AdamwStep;
import io.holdfast.kernels.AdamwTensor;
import io.holdfast.kernels.DType;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Kernels.KlDirection;
import io.holdfast.kernels.Matrix;
import io.holdfast.kernels.RowLoss;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/** Each kernel, dtype and size: its time, its share of the ceiling, and LibTorch's time. */
public final class KernelBench {
  private static final AdamwStep STEP = new AdamwStep(10, 1e-6, 0.9, 0.999, 1e-8, 1);

  private final Kernels kernels;
  private final Sizes sizes;
  private final Ceiling ceiling;
  private final Consumer<Measurement> results;

  private KernelBench(
      Kernels kernels, Sizes sizes, Ceiling ceiling, Consumer<Measurement> results) {
    this.kernels = kernels;
    this.sizes = sizes;
    this.ceiling = ceiling;
    this.results = results;
  }

  /** Measures everything; results are handed over as they come. */
  public static void run(
      Kernels kernels, Sizes sizes, Ceiling ceiling, Consumer<Measurement> results) {
    var bench = new KernelBench(kernels, sizes, ceiling, results);
    try (var noGrad = NoGrad.on()) {
      for (var dtype : sizes.dtypes()) {
        for (long k : sizes.ranks()) {
          bench.subspace(dtype, k);
        }
        bench.rows(dtype);
        BlockBench.run(kernels.block(), dtype, sizes, bench::measure);
        for (var tensors : sizes.tensors()) {
          bench.update(dtype, tensors);
        }
      }
    }
  }

  private void measure(Work work) {
    var seconds = Timing.medians(sizes.budget(), List.of(work.ours(), scoped(work.libTorch())));
    double floor = ceiling.floor(work.bytes(), work.operations());
    results.accept(
        new Measurement(
            work.kernel(),
            work.dtype(),
            work.size(),
            seconds.get(0),
            work.bytes(),
            floor / seconds.get(0),
            seconds.get(1)));
  }

  private static Runnable scoped(Runnable work) {
    return () -> {
      try (var scope = Scope.open()) {
        work.run();
      }
    };
  }

  static Tensor random(DType dtype, double spread, long... shape) {
    var values = Tensors.placed(torch.randn(shape));
    return values.mul_(new Scalar(spread)).to(Tensors.scalarType(dtype)).contiguous();
  }

  private void subspace(DType dtype, long k) {
    long n = sizes.rows();
    long d = sizes.d();
    double values = (double) n * d;
    double bytes = values * dtype.bytes();
    double basis = (double) d * k * Float.BYTES;
    var size = "%d x %d, k %d".formatted(n, d, k);
    try (var scope = Scope.open()) {
      var h = random(dtype, 1, n, d);
      var g = random(dtype, 1, n, d);
      // Short columns, so that repeated edits stay bounded.
      var u = random(DType.FLOAT32, 0.01 / Math.sqrt(d), d, k);
      var c = random(DType.FLOAT32, 1, n, k);
      var narrow = u.to(Tensors.scalarType(dtype));
      var weight = Tensors.placed(torch.rand(n));
      var column = weight.unsqueeze(1).to(Tensors.scalarType(dtype));
      var target = c.to(Tensors.scalarType(dtype));
      var out = Tensors.matrix(random(DType.FLOAT32, 1, n, k));
      var hidden = Tensors.matrix(h);
      var gradient = Tensors.matrix(g);
      var vectors = Tensors.matrix(u);
      var weights = Tensors.memory(weight);
      var coefficients = Tensors.matrix(c);
      measure(
          new Work(
              "project",
              dtype,
              size,
              bytes + basis,
              2 * values * k,
              () -> kernels.project(hidden, null, vectors, out),
              () -> h.mm(narrow)));
      measure(
          new Work(
              "ablate",
              dtype,
              size,
              2 * bytes + basis,
              4 * values * k,
              () -> kernels.ablate(hidden, vectors),
              () -> h.sub_(h.mm(narrow).mm(narrow.t()))));
      measure(
          new Work(
              "constrain",
              dtype,
              size,
              3 * bytes + basis,
              6 * values * k,
              () ->
                  kernels.constrain(
                      gradient, hidden, null, vectors, coefficients, weights, weights, null),
              () -> {
                var along = h.mm(narrow).sub(target).sub(g.mm(narrow)).mul(column);
                g.add_(along.mm(narrow.t()));
              }));
    }
  }

  private void rows(DType dtype) {
    long n = sizes.logits();
    long v = sizes.vocabulary();
    double values = (double) n * v;
    var size = "%d x %d".formatted(n, v);
    try (var scope = Scope.open()) {
      var z = random(dtype, 3, n, v);
      var r = random(dtype, 3, n, v);
      var weight = Tensors.placed(torch.rand(n));
      var column = weight.unsqueeze(1).to(Tensors.scalarType(dtype));
      var labels = Tensors.of(new long[(int) n], n);
      var ce = Tensors.memory(Tensors.zeros(n));
      var kl = Tensors.memory(Tensors.zeros(n));
      var logits = Tensors.matrix(z);
      var reference = Tensors.matrix(r);
      var weights = Tensors.memory(weight);
      var ids = Tensors.memory(labels);
      for (var direction : KlDirection.values()) {
        var loss = new RowLoss(direction);
        measure(
            new Work(
                "ce+kl " + direction.name().toLowerCase(java.util.Locale.ROOT),
                dtype,
                size,
                3 * values * dtype.bytes(),
                (10 + 2 * Ceiling.EXPONENTIAL) * values,
                () ->
                    kernels.crossEntropyKl(
                        logits, reference, null, ids, weights, weights, loss, ce, kl),
                () -> z.copy_(gradient(z, r, labels.unsqueeze(1), column, direction))));
      }
    }
  }

  /** The gradient that the kernel writes, and the losses that it reports. */
  private static Tensor gradient(
      Tensor z, Tensor r, Tensor labels, Tensor weight, KlDirection direction) {
    var logP = z.log_softmax(1);
    var logQ = r.log_softmax(1);
    var p = logP.exp();
    var q = logQ.exp();
    logP.gather(1, labels).neg();
    var one = labels.to(p.scalar_type()).mul(new Scalar(0.0)).add(new Scalar(-1.0));
    var crossEntropy = p.scatter_add(1, labels, one);
    if (direction == KlDirection.FORWARD) {
      q.mul(logQ.sub(logP)).sum(1);
      return crossEntropy.mul(weight).add(p.sub(q).mul(weight));
    }
    var ratio = logP.sub(logQ);
    var divergence = p.mul(ratio).sum(1).unsqueeze(1);
    return crossEntropy.mul(weight).add(p.mul(ratio.sub(divergence)).mul(weight));
  }

  /** One tensor of an update, as LibTorch sees it. */
  private record Parameter(Tensor p, Tensor master, Tensor g, Tensor m, Tensor v) {}

  private void update(DType dtype, Sizes.Tensors shape) {
    double values = (double) shape.count() * shape.elements();
    boolean wide = dtype == DType.FLOAT32;
    var size = "%d x %d".formatted(shape.count(), shape.elements());
    try (var scope = Scope.open()) {
      List<Parameter> parameters = new ArrayList<>();
      List<AdamwTensor> tensors = new ArrayList<>();
      List<Matrix> gradients = new ArrayList<>();
      for (int i = 0; i < shape.count(); i++) {
        var p = random(dtype, 1, 1, shape.elements());
        var master = wide ? p : p.to(torch.ScalarType.Float);
        var g = random(dtype, 1, 1, shape.elements());
        var m = Tensors.zeros(1, shape.elements());
        var v = Tensors.placed(torch.rand(1, shape.elements()));
        parameters.add(new Parameter(p, master, g, m, v));
        gradients.add(Tensors.matrix(g));
        tensors.add(
            new AdamwTensor(
                Tensors.matrix(p),
                Tensors.matrix(g),
                Tensors.matrix(m),
                Tensors.matrix(v),
                wide ? null : Tensors.matrix(master),
                0.01,
                null,
                null));
      }
      double moved = 6 * Float.BYTES + dtype.bytes() + (wide ? 0 : dtype.bytes());
      measure(
          new Work(
              "adamw",
              dtype,
              size,
              values * moved,
              13 * values,
              () -> kernels.adamw(tensors, STEP),
              () -> parameters.forEach(KernelBench::step)));
      measure(
          new Work(
              "norm",
              dtype,
              size,
              values * dtype.bytes(),
              2 * values,
              () -> kernels.norm(gradients),
              () -> parameters.forEach(parameter -> parameter.g().norm().item_double())));
    }
  }

  private static void step(Parameter t) {
    try (var scope = Scope.open()) {
      var g = t.g().to(torch.ScalarType.Float);
      double correction = 1 - Math.pow(STEP.beta2(), STEP.step());
      double rate = STEP.lr() / (1 - Math.pow(STEP.beta1(), STEP.step()));
      t.m().lerp_(g, new Scalar(1 - STEP.beta1()));
      t.v().mul_(new Scalar(STEP.beta2())).addcmul_(g, g, new Scalar(1 - STEP.beta2()));
      t.master().mul_(new Scalar(1 - STEP.lr() * 0.01));
      var root = t.v().sqrt().mul_(new Scalar(1 / Math.sqrt(correction)));
      t.master().addcdiv_(t.m(), root.add_(new Scalar(STEP.eps())), new Scalar(-rate));
      if (t.master() != t.p()) {
        t.p().copy_(t.master());
      }
    }
  }
}
