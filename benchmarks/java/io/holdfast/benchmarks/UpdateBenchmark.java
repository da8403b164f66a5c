package io.holdfast.benchmarks;

import io.holdfast.kernels.AdamwStep;
import io.holdfast.kernels.AdamwTensor;
import io.holdfast.kernels.DType;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Matrix;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** The optimizer's step and the gradient norm over many tensors: one large, and those of a LoRA. */
@State(Scope.Benchmark)
public class UpdateBenchmark {
  private static final AdamwStep STEP = new AdamwStep(10, 1e-6, 0.9, 0.999, 1e-8, 1);

  /** Tensors x elements of each. */
  @Param({"1x33554432", "448x65536"})
  String shape;

  private final Kernels kernels = KernelBackends.select(Optional.empty());
  private final List<AdamwTensor> parameters = new ArrayList<>();
  private final List<Matrix> gradients = new ArrayList<>();
  private Buffers buffers;

  @Setup
  public void allocate() {
    buffers = new Buffers();
    int tensors = Integer.parseInt(shape.split("x")[0]);
    int elements = Integer.parseInt(shape.split("x")[1]);
    for (int i = 0; i < tensors; i++) {
      var gradient = buffers.matrix(1, elements, 1);
      gradients.add(gradient);
      parameters.add(
          AdamwTensor.plain(
              buffers.matrix(1, elements, 1),
              gradient,
              buffers.matrix(1, elements, 1),
              Matrix.dense(buffers.floats(elements, 0.5, 1), 1, elements, DType.FLOAT32),
              0.01));
    }
  }

  @TearDown
  public void free() {
    buffers.free();
  }

  @Benchmark
  public void adamw() {
    kernels.adamw(parameters, STEP);
  }

  @Benchmark
  public double norm() {
    return kernels.norm(gradients);
  }
}
