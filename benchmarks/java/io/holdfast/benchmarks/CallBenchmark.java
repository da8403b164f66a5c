package io.holdfast.benchmarks;

import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Matrix;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Optional;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/**
 * What a call from Java costs: of a C function that does nothing much, and of a kernel without
 * rows.
 */
@State(Scope.Benchmark)
public class CallBenchmark {
  private static final MethodHandle ABS = abs();
  private static final MethodHandle CRITICAL_ABS = abs(Linker.Option.critical(false));

  private final Kernels kernels = KernelBackends.select(Optional.empty());
  private Buffers buffers;
  private Matrix h;
  private Matrix u;
  private int x = -3;

  private static MethodHandle abs(Linker.Option... options) {
    var linker = Linker.nativeLinker();
    var address = linker.defaultLookup().find("abs").orElseThrow();
    return linker.downcallHandle(
        address, FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT), options);
  }

  @Setup
  public void allocate() {
    buffers = new Buffers();
    h = buffers.matrix(0, 1, 1);
    u = buffers.matrix(1, 1, 1);
  }

  @TearDown
  public void free() {
    buffers.free();
  }

  @Benchmark
  public int function() throws Throwable {
    return (int) ABS.invokeExact(x);
  }

  @Benchmark
  public int criticalFunction() throws Throwable {
    return (int) CRITICAL_ABS.invokeExact(x);
  }

  @Benchmark
  public void emptyKernel() {
    kernels.ablate(h, u);
  }
}
