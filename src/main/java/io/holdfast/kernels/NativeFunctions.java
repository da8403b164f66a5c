package io.holdfast.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;

/**
 * The functions of {@code holdfast.h} as one library has them, one method each. A status that is
 * not {@code HF_OK} becomes an exception with the library's message.
 *
 * <p>Handles are static and take the function's address, so that they are constants to the compiler
 * whichever library they call. None is {@code critical}: most calls run long enough that a thread
 * which cannot stop for the garbage collector would hold up all others.
 */
final class NativeFunctions {
  /** {@code HF_ABI_VERSION} that this class was written against. */
  private static final int ABI_VERSION = 2;

  /** {@code HF_DEVICE}. */
  private static final int DEVICE = 3;

  private static final long MESSAGE_BYTES = 512;

  private static final MethodHandle NOTHING_TO_INT = handle(JAVA_INT);
  private static final MethodHandle NOTHING_TO_TEXT = handle(ADDRESS);
  private static final MethodHandle SET_NUM_THREADS = handle(JAVA_INT, JAVA_INT);
  private static final MethodHandle ALLOCATE = handle(JAVA_INT, JAVA_LONG, ADDRESS);
  private static final MethodHandle RELEASE = handle(JAVA_INT, ADDRESS);
  private static final MethodHandle COPY = handle(JAVA_INT, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS);
  private static final MethodHandle SIZE_OF_TWO = handle(JAVA_LONG, JAVA_LONG, JAVA_LONG);
  private static final MethodHandle PROJECT =
      handle(JAVA_INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS);
  private static final MethodHandle ABLATE = handle(JAVA_INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS);
  private static final MethodHandle CONSTRAIN =
      handle(
          JAVA_INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS,
          ADDRESS);
  private static final MethodHandle CE_KL =
      handle(
          JAVA_INT, ADDRESS, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS, ADDRESS, ADDRESS,
          ADDRESS, ADDRESS, ADDRESS, ADDRESS);
  private static final MethodHandle ADAMW_SCRATCH = handle(JAVA_LONG, ADDRESS, JAVA_LONG);
  private static final MethodHandle ADAMW =
      handle(JAVA_INT, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS, ADDRESS);
  private static final MethodHandle SUM_OF_SQUARES =
      handle(JAVA_INT, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS, ADDRESS);

  private final String name;
  private final MemorySegment lastError;
  private final MemorySegment available;
  private final MemorySegment description;
  private final MemorySegment setNumThreads;
  private final MemorySegment allocate;
  private final MemorySegment release;
  private final MemorySegment copy;
  private final MemorySegment subspaceScratch;
  private final MemorySegment project;
  private final MemorySegment ablate;
  private final MemorySegment constrain;
  private final MemorySegment ceKlScratch;
  private final MemorySegment ceKl;
  private final MemorySegment adamwScratch;
  private final MemorySegment adamw;
  private final MemorySegment sumOfSquares;

  NativeFunctions(String name, SymbolLookup library) {
    this.name = name;
    var version = find(library, "hf_abi_version");
    lastError = find(library, "hf_last_error");
    available = find(library, "hf_available");
    description = find(library, "hf_description");
    setNumThreads = find(library, "hf_set_num_threads");
    allocate = find(library, "hf_allocate");
    release = find(library, "hf_release");
    copy = find(library, "hf_copy");
    subspaceScratch = find(library, "hf_subspace_scratch");
    project = find(library, "hf_project");
    ablate = find(library, "hf_ablate");
    constrain = find(library, "hf_constrain");
    ceKlScratch = find(library, "hf_ce_kl_scratch");
    ceKl = find(library, "hf_ce_kl");
    adamwScratch = find(library, "hf_adamw_scratch");
    adamw = find(library, "hf_adamw");
    sumOfSquares = find(library, "hf_sum_of_squares");
    int found = number(version);
    if (found != ABI_VERSION) {
      throw new IllegalStateException(
          "the native %s kernels have interface version %d, this jar wants %d; rebuild both"
              .formatted(name, found, ABI_VERSION));
    }
  }

  static MethodHandle handle(MemoryLayout result, MemoryLayout... arguments) {
    return Linker.nativeLinker().downcallHandle(FunctionDescriptor.of(result, arguments));
  }

  static MemorySegment find(SymbolLookup library, String function) {
    return library
        .find(function)
        .orElseThrow(() -> new IllegalStateException("the native kernels lack " + function));
  }

  /** Why the library cannot run here; empty where it can. */
  String whyUnavailable() {
    return number(available) == 0 ? "" : text(lastError);
  }

  String description() {
    return text(description);
  }

  void setNumThreads(int threads) {
    try {
      check((int) SET_NUM_THREADS.invokeExact(setNumThreads, threads));
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  void allocate(long bytes, MemorySegment out) {
    try {
      check((int) ALLOCATE.invokeExact(allocate, bytes, out));
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  void release(MemorySegment memory) {
    try {
      check((int) RELEASE.invokeExact(release, memory));
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  void copy(MemorySegment to, MemorySegment from, long bytes, MemorySegment stream) {
    try {
      check((int) COPY.invokeExact(copy, to, from, bytes, stream));
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  long subspaceScratch(long d, long k) {
    return bytes(subspaceScratch, d, k);
  }

  long ceKlScratch(long rows, long vocabulary) {
    return bytes(ceKlScratch, rows, vocabulary);
  }

  long adamwScratch(MemorySegment tensors, long count) {
    try {
      return bytes((long) ADAMW_SCRATCH.invokeExact(adamwScratch, tensors, count));
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  private long bytes(MemorySegment function, long a, long b) {
    try {
      return bytes((long) SIZE_OF_TWO.invokeExact(function, a, b));
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  /** A size, or the negative of a status. */
  long bytes(long answer) {
    check((int) Math.max(0, -answer));
    return answer;
  }

  void project(
      MemorySegment h,
      MemorySegment rows,
      MemorySegment u,
      MemorySegment c,
      MemorySegment scratch,
      MemorySegment stream) {
    try {
      check((int) PROJECT.invokeExact(project, h, rows, u, c, scratch, stream));
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  void ablate(MemorySegment h, MemorySegment u, MemorySegment scratch, MemorySegment stream) {
    try {
      check((int) ABLATE.invokeExact(ablate, h, u, scratch, stream));
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  void constrain(
      MemorySegment g,
      MemorySegment h,
      MemorySegment rows,
      MemorySegment u,
      MemorySegment c,
      MemorySegment filter,
      MemorySegment weight,
      MemorySegment penalty,
      MemorySegment scratch,
      MemorySegment stream) {
    try {
      check(
          (int)
              CONSTRAIN.invokeExact(
                  constrain, g, h, rows, u, c, filter, weight, penalty, scratch, stream));
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  void ceKl(
      MemorySegment z,
      MemorySegment reference,
      MemorySegment rows,
      long m,
      MemorySegment labels,
      MemorySegment ceWeight,
      MemorySegment klWeight,
      MemorySegment loss,
      MemorySegment ce,
      MemorySegment kl,
      MemorySegment scratch,
      MemorySegment stream) {
    try {
      check(
          (int)
              CE_KL.invokeExact(
                  ceKl, z, reference, rows, m, labels, ceWeight, klWeight, loss, ce, kl, scratch,
                  stream));
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  void adamw(
      MemorySegment tensors,
      long count,
      MemorySegment step,
      MemorySegment scratch,
      MemorySegment stream) {
    try {
      check((int) ADAMW.invokeExact(adamw, tensors, count, step, scratch, stream));
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  void sumOfSquares(
      MemorySegment matrices,
      long count,
      MemorySegment partials,
      MemorySegment result,
      MemorySegment stream) {
    try {
      check(
          (int)
              SUM_OF_SQUARES.invokeExact(sumOfSquares, matrices, count, partials, result, stream));
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  private int number(MemorySegment function) {
    try {
      return (int) NOTHING_TO_INT.invokeExact(function);
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  private String text(MemorySegment function) {
    try {
      var start = (MemorySegment) NOTHING_TO_TEXT.invokeExact(function);
      return start.reinterpret(MESSAGE_BYTES).getString(0);
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  void check(int status) {
    if (status != 0) {
      var message = "%s kernels: %s".formatted(name, text(lastError));
      throw status == DEVICE
          ? new IllegalStateException(message)
          : new IllegalArgumentException(message);
    }
  }

  static RuntimeException unchecked(Throwable e) {
    return switch (e) {
      case RuntimeException runtime -> runtime;
      case Error error -> throw error;
      default -> new IllegalStateException(e);
    };
  }
}
