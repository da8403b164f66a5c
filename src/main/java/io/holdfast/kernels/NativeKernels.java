package io.holdfast.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.util.List;
import java.util.function.Supplier;

/**
 * The kernels of a native library that speaks {@code holdfast.h}: {@code cpu} or {@code cuda}.
 *
 * <p>Matrices and vectors lie where the library's kernels can reach them: in native memory for the
 * CPU, in device memory for CUDA, where calls are queued on the current stream and only {@link
 * #norm} and {@link #copy} wait. Safe for use by many threads, each with its own scratch.
 */
public final class NativeKernels implements Kernels {
  private static final long MATRIX = 40;
  private static final long ADAMW_TENSOR = 7 * MATRIX + 24;
  private static final long ROW_LOSS = 24;
  private static final long ADAMW_STEP = 48;
  private static final long NORM_PARTIALS = 1024;

  private final String name;
  private final NativeFunctions functions;
  private final Supplier<MemorySegment> stream;
  private final SymbolLookup library;
  private BlockKernels block;
  private final ThreadLocal<MemorySegment> scratch =
      ThreadLocal.withInitial(() -> MemorySegment.NULL);

  /**
   * Binds a library.
   *
   * @param stream the {@code cudaStream_t} that calls are queued on; {@link MemorySegment#NULL} is
   *     the default stream. The CPU library ignores it.
   * @throws IllegalStateException if a function is missing or the interface has another version
   */
  NativeKernels(String name, SymbolLookup library, Supplier<MemorySegment> stream) {
    this(name, library, new NativeFunctions(name, library), stream);
  }

  private NativeKernels(
      String name,
      SymbolLookup library,
      NativeFunctions functions,
      Supplier<MemorySegment> stream) {
    this.name = name;
    this.library = library;
    this.functions = functions;
    this.stream = stream;
  }

  /** The same kernels, queued on another stream. */
  NativeKernels on(Supplier<MemorySegment> otherStream) {
    return new NativeKernels(name, library, functions, otherStream);
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public BlockKernels block() {
    if (block == null) {
      block = new NativeBlockKernels(library, functions, stream, this::scratch);
    }
    return block;
  }

  /** What runs: the instruction set and threads, or the device. */
  public String description() {
    return functions.description();
  }

  /** Why the library cannot run here, or an empty text where it can. */
  String whyUnavailable() {
    return functions.whyUnavailable();
  }

  /** Threads of this library; 0 leaves it to OpenMP. Results do not depend on it. */
  void threads(int threads) {
    functions.setNumThreads(threads);
  }

  /** Memory that this library's kernels can reach, given back when it is no longer reachable. */
  public MemorySegment allocate(long bytes) {
    try (var arena = Arena.ofConfined()) {
      var out = arena.allocate(ADDRESS);
      functions.allocate(bytes, out);
      return out.get(ADDRESS, 0)
          .reinterpret(bytes, Arena.ofAuto(), memory -> functions.release(memory));
    }
  }

  /** Copies all of {@code from} between host and device memory, and waits for it. */
  public void copy(MemorySegment from, MemorySegment to) {
    if (to.byteSize() < from.byteSize()) {
      throw new IllegalArgumentException(
          "%d bytes do not fit into %d".formatted(from.byteSize(), to.byteSize()));
    }
    functions.copy(to, from, from.byteSize(), stream.get());
  }

  @Override
  public void project(Matrix h, MemorySegment rows, Matrix u, Matrix c) {
    try (var arena = Arena.ofConfined()) {
      functions.project(
          struct(arena, h),
          vector("rows", rows, c.rows(), Long.BYTES),
          struct(arena, u),
          struct(arena, c),
          scratch(u),
          stream.get());
    }
  }

  @Override
  public void ablate(Matrix h, Matrix u) {
    try (var arena = Arena.ofConfined()) {
      functions.ablate(struct(arena, h), struct(arena, u), scratch(u), stream.get());
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
      functions.constrain(
          struct(arena, g),
          struct(arena, h),
          vector("rows", rows, c.rows(), Long.BYTES),
          struct(arena, u),
          struct(arena, c),
          vector("filter", filter, c.rows(), Float.BYTES),
          vector("weight", weight, c.rows(), Float.BYTES),
          vector("penalty", penalty, c.rows(), Float.BYTES),
          scratch(u),
          stream.get());
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
    long m = rows == null ? z.rows() : rows.byteSize() / Long.BYTES;
    try (var arena = Arena.ofConfined()) {
      functions.ceKl(
          struct(arena, z),
          reference == null ? MemorySegment.NULL : struct(arena, reference),
          vector("rows", rows, m, Long.BYTES),
          m,
          vector("labels", labels, m, Long.BYTES),
          vector("ceWeight", ceWeight, m, Float.BYTES),
          vector("klWeight", klWeight, m, Float.BYTES),
          struct(arena, loss),
          vector("ce", ce, m, Float.BYTES),
          vector("kl", kl, m, Float.BYTES),
          scratch(functions.ceKlScratch(m, z.columns())),
          stream.get());
    }
  }

  @Override
  public void adamw(List<AdamwTensor> tensors, AdamwStep step) {
    try (var arena = Arena.ofConfined()) {
      var array = arena.allocate(tensors.size() * ADAMW_TENSOR, 8);
      for (int i = 0; i < tensors.size(); i++) {
        put(array.asSlice(i * ADAMW_TENSOR, ADAMW_TENSOR), tensors.get(i));
      }
      var shared = arena.allocate(ADAMW_STEP, 8);
      shared.set(JAVA_LONG, 0, step.step());
      shared.set(JAVA_DOUBLE, 8, step.lr());
      shared.set(JAVA_DOUBLE, 16, step.beta1());
      shared.set(JAVA_DOUBLE, 24, step.beta2());
      shared.set(JAVA_DOUBLE, 32, step.eps());
      shared.set(JAVA_DOUBLE, 40, step.gradientScale());
      var room = scratch(functions.adamwScratch(array, tensors.size()));
      functions.adamw(array, tensors.size(), shared, room, stream.get());
    }
  }

  @Override
  public double norm(List<Matrix> gradients) {
    try (var arena = Arena.ofConfined()) {
      var array = arena.allocate(gradients.size() * MATRIX, 8);
      for (int i = 0; i < gradients.size(); i++) {
        put(array.asSlice(i * MATRIX, MATRIX), gradients.get(i));
      }
      var partials = scratch((NORM_PARTIALS + 1) * Double.BYTES);
      var result = partials.asSlice(NORM_PARTIALS * Double.BYTES, Double.BYTES);
      functions.sumOfSquares(array, (long) gradients.size(), partials, result, stream.get());
      var host = arena.allocate(JAVA_DOUBLE);
      copy(result, host);
      return Math.sqrt(host.get(JAVA_DOUBLE, 0));
    }
  }

  /** This thread's scratch for kernels with this basis. */
  private MemorySegment scratch(Matrix u) {
    return scratch(functions.subspaceScratch(u.rows(), u.columns()));
  }

  private MemorySegment scratch(long bytes) {
    var held = scratch.get();
    if (held.byteSize() < bytes) {
      held = allocate(Math.max(bytes, 2 * held.byteSize()));
      scratch.set(held);
    }
    return held;
  }

  /** The vector if it is long enough, or a null pointer where there is none. */
  static MemorySegment vector(String name, MemorySegment vector, long length, int elementBytes) {
    if (vector == null) {
      return MemorySegment.NULL;
    }
    if (vector.byteSize() < length * elementBytes) {
      throw new IllegalArgumentException(
          "%s has %d bytes, %d elements need %d"
              .formatted(name, vector.byteSize(), length, length * elementBytes));
    }
    return vector;
  }

  static MemorySegment struct(Arena arena, Matrix matrix) {
    var struct = arena.allocate(MATRIX, 8);
    put(struct, matrix);
    return struct;
  }

  private static MemorySegment struct(Arena arena, RowLoss loss) {
    var struct = arena.allocate(ROW_LOSS, 8);
    struct.set(JAVA_DOUBLE, 0, loss.labelSmoothing());
    struct.set(JAVA_DOUBLE, 8, loss.softCap());
    struct.set(JAVA_INT, 16, loss.direction() == KlDirection.REVERSE ? 1 : 0);
    return struct;
  }

  private static void put(MemorySegment struct, Matrix matrix) {
    struct.set(ADDRESS, 0, matrix.data());
    struct.set(JAVA_LONG, 8, matrix.rows());
    struct.set(JAVA_LONG, 16, matrix.columns());
    struct.set(JAVA_LONG, 24, matrix.stride());
    struct.set(JAVA_INT, 32, matrix.dtype().code());
  }

  private static void put(MemorySegment struct, AdamwTensor tensor) {
    put(struct, tensor.parameter());
    put(struct.asSlice(MATRIX), tensor.gradient());
    put(struct.asSlice(2 * MATRIX), tensor.firstMoment());
    put(struct.asSlice(3 * MATRIX), tensor.secondMoment());
    if (tensor.master() != null) {
      put(struct.asSlice(4 * MATRIX), tensor.master());
    }
    if (tensor.basis() != null) {
      put(struct.asSlice(6 * MATRIX), tensor.basis());
    }
    struct.set(JAVA_DOUBLE, 7 * MATRIX, tensor.weightDecay());
    if (tensor.pull() != null) {
      put(struct.asSlice(5 * MATRIX), tensor.pull().reference());
      struct.set(JAVA_DOUBLE, 7 * MATRIX + 8, tensor.pull().strength());
      struct.set(JAVA_INT, 7 * MATRIX + 16, tensor.pull().coupled() ? 1 : 0);
    }
  }
}
