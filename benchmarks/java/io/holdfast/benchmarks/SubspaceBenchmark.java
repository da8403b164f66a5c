package io.holdfast.benchmarks;

import io.holdfast.kernels.DType;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Matrix;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** Projection, ablation and the constraint gradient over hidden states of width d. */
@State(Scope.Benchmark)
public class SubspaceBenchmark {
  @Param({"4096"})
  int rows;

  @Param({"4096"})
  int d;

  @Param({"1", "8", "16", "64"})
  int k;

  @Param({"FLOAT32", "BFLOAT16", "FLOAT16"})
  DType dtype;

  private final Kernels kernels = KernelBackends.select(Optional.empty());
  private Buffers buffers;
  private Matrix h;
  private Matrix g;
  private Matrix u;
  private Matrix c;
  private MemorySegment filter;
  private MemorySegment weight;
  private MemorySegment penalty;

  /** Small columns: repeated ablation must not grow without bound. */
  @Setup
  public void allocate() {
    buffers = new Buffers();
    h = buffers.matrix(rows, d, 1, dtype);
    g = buffers.matrix(rows, d, 1, dtype);
    u = buffers.matrix(d, k, 1e-4);
    c = buffers.matrix(rows, k, 1);
    filter = buffers.floats(rows, 0.1, 1);
    weight = buffers.floats(rows, 0.1, 1);
    penalty = buffers.floats(rows, 0, 1);
  }

  @TearDown
  public void free() {
    buffers.free();
  }

  @Benchmark
  public void project() {
    kernels.project(h, null, u, c);
  }

  @Benchmark
  public void ablate() {
    kernels.ablate(h, u);
  }

  @Benchmark
  public void constrain() {
    kernels.constrain(g, h, null, u, c, filter, weight, penalty);
  }
}
