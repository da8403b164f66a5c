package io.holdfast.benchmarks;

import io.holdfast.kernels.DType;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Kernels.KlDirection;
import io.holdfast.kernels.Matrix;
import io.holdfast.kernels.RowLoss;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** Rows of logits to the gradient of cross entropy, alone and with KL. */
@State(Scope.Benchmark)
public class RowsBenchmark {
  private static final RowLoss FORWARD = new RowLoss(KlDirection.FORWARD);
  private static final RowLoss REVERSE = new RowLoss(KlDirection.REVERSE);

  @Param({"256"})
  int rows;

  @Param({"32000", "128256"})
  int vocabulary;

  @Param({"FLOAT32", "BFLOAT16", "FLOAT16"})
  DType dtype;

  private final Kernels kernels = KernelBackends.select(Optional.empty());
  private Buffers buffers;
  private Matrix z;
  private Matrix reference;
  private MemorySegment labels;
  private MemorySegment weight;
  private MemorySegment ce;
  private MemorySegment kl;

  @Setup
  public void allocate() {
    buffers = new Buffers();
    z = buffers.matrix(rows, vocabulary, 5, dtype);
    reference = buffers.matrix(rows, vocabulary, 5, dtype);
    labels = buffers.labels(rows, vocabulary);
    weight = buffers.floats(rows, 0.1, 1);
    ce = buffers.floats(rows, 0, 1);
    kl = buffers.floats(rows, 0, 1);
  }

  @TearDown
  public void free() {
    buffers.free();
  }

  @Benchmark
  public void crossEntropy() {
    kernels.crossEntropyKl(z, null, null, labels, weight, null, FORWARD, ce, null);
  }

  @Benchmark
  public void forwardKl() {
    kernels.crossEntropyKl(z, reference, null, labels, weight, weight, FORWARD, ce, kl);
  }

  @Benchmark
  public void reverseKl() {
    kernels.crossEntropyKl(z, reference, null, labels, weight, weight, REVERSE, ce, kl);
  }
}
