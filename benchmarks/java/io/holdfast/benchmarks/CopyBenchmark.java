package io.holdfast.benchmarks;

import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** The ceiling: a copy that is larger than the caches, by all cores. */
@State(Scope.Benchmark)
public class CopyBenchmark {
  static final long BYTES = 256L << 20;

  private final int cores = Runtime.getRuntime().availableProcessors();
  private Buffers buffers;
  private MemorySegment from;
  private MemorySegment to;

  @Setup
  public void allocate() {
    buffers = new Buffers();
    from = buffers.floats(BYTES / Float.BYTES, 0, 1);
    to = buffers.floats(BYTES / Float.BYTES, 0, 1);
  }

  @TearDown
  public void free() {
    buffers.free();
  }

  @Benchmark
  public void copy() {
    long part = BYTES / cores;
    IntStream.range(0, cores)
        .parallel()
        .forEach(i -> MemorySegment.copy(from, i * part, to, i * part, part));
  }
}
