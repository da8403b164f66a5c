package io.holdfast.kernels;

import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/**
 * Kernels of a device for callers some of whose data lies in host memory: it is copied there for
 * the call, and what the kernel writes is copied back, which waits. What lies on the device already
 * stays where it is, so large matrices should.
 */
public final class StagedKernels implements Kernels {
  private final NativeKernels kernels;
  private final Predicate<MemorySegment> onHost;

  /**
   * Wraps a device's kernels.
   *
   * @param onHost whether memory is the host's
   */
  public StagedKernels(NativeKernels kernels, Predicate<MemorySegment> onHost) {
    this.kernels = kernels;
    this.onHost = onHost;
  }

  /** What one call has on the device. */
  private final class Stage implements AutoCloseable {
    private final Map<Long, MemorySegment> there = new HashMap<>();
    private final Map<Long, MemorySegment> written = new HashMap<>();

    /** What a kernel reads. */
    MemorySegment in(MemorySegment memory) {
      if (memory == null || !onHost.test(memory)) {
        return memory;
      }
      var copy = there.get(memory.address());
      if (copy == null || copy.byteSize() < memory.byteSize()) {
        copy = kernels.allocate(memory.byteSize());
        kernels.copy(memory, copy);
        there.put(memory.address(), copy);
      }
      return copy;
    }

    /** What a kernel writes, and may have read. */
    MemorySegment out(MemorySegment memory) {
      var copy = in(memory);
      if (copy != memory) {
        written.put(memory.address(), memory);
      }
      return copy;
    }

    Matrix in(Matrix m) {
      return m == null ? null : with(m, in(m.data()));
    }

    Matrix out(Matrix m) {
      return m == null ? null : with(m, out(m.data()));
    }

    private static Matrix with(Matrix m, MemorySegment data) {
      return new Matrix(data, m.rows(), m.columns(), m.stride(), m.dtype());
    }

    AdamwTensor updated(AdamwTensor t) {
      var pull = t.pull();
      return new AdamwTensor(
          out(t.parameter()),
          in(t.gradient()),
          out(t.firstMoment()),
          out(t.secondMoment()),
          out(t.master()),
          t.weightDecay(),
          pull == null
              ? null
              : new AdamwTensor.Pull(in(pull.reference()), pull.strength(), pull.coupled()),
          in(t.basis()));
    }

    @Override
    public void close() {
      written.forEach((address, memory) -> kernels.copy(there.get(address), memory));
    }
  }

  @Override
  public String name() {
    return kernels.name();
  }

  /** The device's, whose arguments all lie there. */
  @Override
  public BlockKernels block() {
    return kernels.block();
  }

  @Override
  public void project(Matrix h, MemorySegment rows, Matrix u, Matrix c) {
    try (var stage = new Stage()) {
      kernels.project(stage.in(h), stage.in(rows), stage.in(u), stage.out(c));
    }
  }

  @Override
  public void ablate(Matrix h, Matrix u) {
    try (var stage = new Stage()) {
      kernels.ablate(stage.out(h), stage.in(u));
    }
  }

  @Override
  public void constrain(
      Matrix g,
      Matrix h,
      MemorySegment rows,
      Matrix u,
      Matrix c,
      MemorySegment filter,
      MemorySegment weight,
      MemorySegment penalty) {
    try (var stage = new Stage()) {
      kernels.constrain(
          stage.out(g),
          stage.in(h),
          stage.in(rows),
          stage.in(u),
          stage.in(c),
          stage.in(filter),
          stage.in(weight),
          stage.out(penalty));
    }
  }

  @Override
  public void crossEntropyKl(
      Matrix z,
      Matrix reference,
      MemorySegment rows,
      MemorySegment labels,
      MemorySegment ceWeight,
      MemorySegment klWeight,
      RowLoss loss,
      MemorySegment ce,
      MemorySegment kl) {
    try (var stage = new Stage()) {
      kernels.crossEntropyKl(
          stage.out(z),
          stage.in(reference),
          stage.in(rows),
          stage.in(labels),
          stage.in(ceWeight),
          stage.in(klWeight),
          loss,
          stage.out(ce),
          stage.out(kl));
    }
  }

  @Override
  public void adamw(List<AdamwTensor> tensors, AdamwStep step) {
    try (var stage = new Stage()) {
      kernels.adamw(tensors.stream().map(stage::updated).toList(), step);
    }
  }

  @Override
  public double norm(List<Matrix> gradients) {
    try (var stage = new Stage()) {
      return kernels.norm(gradients.stream().map(stage::in).toList());
    }
  }
}
