package io.holdfast.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.util.List;

/** The kernels of a native library that speaks {@code holdfast.h}. */
final class NativeKernels implements Kernels {
  private static final int ABI_VERSION = 1;
  private static final long MATRIX = 40;
  private static final long ADAMW_TENSOR = 6 * MATRIX + 24;
  private static final int NORM_PARTIALS = 1024;

  private final String name;
  private final MethodHandle lastError;
  private final MethodHandle setThreads;
  private final MethodHandle project;
  private final MethodHandle ablate;
  private final MethodHandle constrain;
  private final MethodHandle ceKl;
  private final MethodHandle adamw;
  private final MethodHandle sumOfSquares;

  /**
   * Binds a library.
   *
   * @throws IllegalStateException if a function is missing or its version is another
   */
  NativeKernels(String name, SymbolLookup library) {
    this.name = name;
    var version = handle(library, "hf_abi_version", FunctionDescriptor.of(JAVA_INT));
    this.lastError = handle(library, "hf_last_error", FunctionDescriptor.of(ADDRESS));
    this.setThreads =
        handle(library, "hf_set_num_threads", FunctionDescriptor.of(JAVA_INT, JAVA_INT));
    this.project = handle(library, "hf_project", status(ADDRESS, ADDRESS, ADDRESS, ADDRESS));
    this.ablate = handle(library, "hf_ablate", status(ADDRESS, ADDRESS));
    this.constrain =
        handle(
            library,
            "hf_constrain",
            status(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS));
    this.ceKl =
        handle(
            library,
            "hf_ce_kl",
            status(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, JAVA_INT, ADDRESS, ADDRESS));
    this.adamw = handle(library, "hf_adamw", status(ADDRESS, JAVA_LONG, ADDRESS));
    this.sumOfSquares =
        handle(library, "hf_sum_of_squares", status(ADDRESS, JAVA_LONG, ADDRESS, ADDRESS));
    try {
      int found = (int) version.invokeExact();
      if (found != ABI_VERSION) {
        throw new IllegalStateException(
            "the native kernels have interface version %d, this jar wants %d; rebuild both"
                .formatted(found, ABI_VERSION));
      }
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  /** A status, then these arguments, then the stream. */
  private static FunctionDescriptor status(java.lang.foreign.MemoryLayout... arguments) {
    return FunctionDescriptor.of(JAVA_INT, arguments).appendArgumentLayouts(ADDRESS);
  }

  private static MethodHandle handle(
      SymbolLookup library, String function, FunctionDescriptor type) {
    var address =
        library
            .find(function)
            .orElseThrow(() -> new IllegalStateException("the native kernels lack " + function));
    return Linker.nativeLinker().downcallHandle(address, type);
  }

  @Override
  public String name() {
    return name;
  }

  /** Threads of this library; results do not depend on it. */
  void threads(int threads) {
    try {
      check((int) setThreads.invokeExact(threads));
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  @Override
  public void project(Matrix h, MemorySegment rows, Matrix u, Matrix c) {
    try (var arena = Arena.ofConfined()) {
      check(
          (int)
              project.invokeExact(
                  matrix(arena, h),
                  orNull(rows),
                  matrix(arena, u),
                  matrix(arena, c),
                  MemorySegment.NULL));
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  @Override
  public void ablate(Matrix h, Matrix u) {
    try (var arena = Arena.ofConfined()) {
      check((int) ablate.invokeExact(matrix(arena, h), matrix(arena, u), MemorySegment.NULL));
    } catch (Throwable e) {
      throw rethrown(e);
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
    try (var arena = Arena.ofConfined()) {
      check(
          (int)
              constrain.invokeExact(
                  matrix(arena, g),
                  matrix(arena, h),
                  orNull(rows),
                  matrix(arena, u),
                  matrix(arena, c),
                  orNull(filter),
                  orNull(weight),
                  orNull(penalty),
                  MemorySegment.NULL));
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  @Override
  public void crossEntropyKl(
      Matrix z,
      Matrix reference,
      MemorySegment labels,
      MemorySegment ceWeight,
      MemorySegment klWeight,
      KlDirection direction,
      MemorySegment ce,
      MemorySegment kl) {
    try (var arena = Arena.ofConfined()) {
      check(
          (int)
              ceKl.invokeExact(
                  matrix(arena, z),
                  orNull(arena, reference),
                  labels,
                  ceWeight,
                  orNull(klWeight),
                  direction == KlDirection.REVERSE ? 1 : 0,
                  ce,
                  orNull(kl),
                  MemorySegment.NULL));
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  @Override
  public void adamw(List<AdamwTensor> tensors, AdamwStep step) {
    try (var arena = Arena.ofConfined()) {
      var array = arena.allocate(Math.max(1, tensors.size() * ADAMW_TENSOR), 8);
      for (int i = 0; i < tensors.size(); i++) {
        put(array.asSlice(i * ADAMW_TENSOR, ADAMW_TENSOR), tensors.get(i));
      }
      var shared = arena.allocate(48, 8);
      shared.set(JAVA_LONG, 0, step.step());
      shared.set(JAVA_DOUBLE, 8, step.lr());
      shared.set(JAVA_DOUBLE, 16, step.beta1());
      shared.set(JAVA_DOUBLE, 24, step.beta2());
      shared.set(JAVA_DOUBLE, 32, step.eps());
      shared.set(JAVA_DOUBLE, 40, step.gradientScale());
      check((int) adamw.invokeExact(array, (long) tensors.size(), shared, MemorySegment.NULL));
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  @Override
  public double norm(List<Matrix> gradients) {
    try (var arena = Arena.ofConfined()) {
      var array = arena.allocate(Math.max(1, gradients.size() * MATRIX), 8);
      for (int i = 0; i < gradients.size(); i++) {
        put(array.asSlice(i * MATRIX, MATRIX), gradients.get(i));
      }
      var partials = arena.allocate(JAVA_DOUBLE, NORM_PARTIALS);
      var result = arena.allocate(JAVA_DOUBLE);
      check(
          (int)
              sumOfSquares.invokeExact(
                  array, (long) gradients.size(), partials, result, MemorySegment.NULL));
      return Math.sqrt(result.get(JAVA_DOUBLE, 0));
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  private static void put(MemorySegment struct, AdamwTensor tensor) {
    put(struct, tensor.parameter());
    put(struct.asSlice(MATRIX), tensor.gradient());
    put(struct.asSlice(2 * MATRIX), tensor.firstMoment());
    put(struct.asSlice(3 * MATRIX), tensor.secondMoment());
    if (tensor.reference() != null) {
      put(struct.asSlice(4 * MATRIX), tensor.reference());
    }
    if (tensor.basis() != null) {
      put(struct.asSlice(5 * MATRIX), tensor.basis());
    }
    struct.set(ADDRESS, 6 * MATRIX, orNull(tensor.scratch()));
    struct.set(JAVA_DOUBLE, 6 * MATRIX + 8, tensor.weightDecay());
    struct.set(JAVA_DOUBLE, 6 * MATRIX + 16, tensor.pull());
  }

  private static MemorySegment matrix(Arena arena, Matrix matrix) {
    var struct = arena.allocate(MATRIX, 8);
    put(struct, matrix);
    return struct;
  }

  private static void put(MemorySegment struct, Matrix matrix) {
    struct.set(ADDRESS, 0, matrix.data());
    struct.set(JAVA_LONG, 8, matrix.rows());
    struct.set(JAVA_LONG, 16, matrix.columns());
    struct.set(JAVA_LONG, 24, matrix.stride());
    struct.set(JAVA_INT, 32, matrix.dtype().code());
  }

  private static MemorySegment orNull(Arena arena, Matrix matrix) {
    return matrix == null ? MemorySegment.NULL : matrix(arena, matrix);
  }

  private static MemorySegment orNull(MemorySegment segment) {
    return segment == null ? MemorySegment.NULL : segment;
  }

  private void check(int status) throws Throwable {
    if (status != 0) {
      var message = ((MemorySegment) lastError.invokeExact()).reinterpret(512).getString(0);
      throw new IllegalArgumentException("%s kernels: %s".formatted(name, message));
    }
  }

  private static RuntimeException rethrown(Throwable e) {
    return switch (e) {
      case RuntimeException runtime -> runtime;
      case Error error -> throw error;
      default -> new IllegalStateException(e);
    };
  }
}
