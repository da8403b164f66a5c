package io.holdfast.kernels;

import io.holdfast.HoldfastException;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/** The one place where a back end is chosen. */
public final class KernelBackends {
  private static final String REMEDY =
      "install cmake and a C++17 compiler (apt-get install cmake g++) and build again with"
          + " `mvn package`";

  private KernelBackends() {}

  /** Loaded at most once. */
  private static final class Cpu {
    static final Optional<NativeKernels> KERNELS =
        NativeLibrary.find("holdfast_cpu")
            .map(library -> new NativeKernels("cpu", library, () -> MemorySegment.NULL));
  }

  /** Warned at most once. */
  private static final class Fallback {
    static final Kernels KERNELS = warned();

    private static Kernels warned() {
      System.err.println(
          "holdfast: no native kernels in this build, going on with the slow 'reference' ones; "
              + REMEDY);
      return new ReferenceKernels();
    }
  }

  /**
   * A back end by name, or the best there is.
   *
   * @param requested {@code cpu} or {@code reference}; if empty, {@code HOLDFAST_KERNELS} or the
   *     native kernels, or else the reference with a warning
   * @throws HoldfastException if the one that was asked for is not there; it is never replaced
   *     silently
   */
  public static Kernels select(Optional<String> requested) {
    var wanted = requested.or(() -> Optional.ofNullable(System.getenv("HOLDFAST_KERNELS")));
    if (wanted.isEmpty()) {
      return cpu().<Kernels>map(kernels -> kernels).orElseGet(() -> Fallback.KERNELS);
    }
    return switch (wanted.get()) {
      case "reference" -> new ReferenceKernels();
      case "cpu" ->
          cpu()
              .orElseThrow(
                  () ->
                      HoldfastException.missing(
                          "the native CPU kernels are not in this build: %s", REMEDY));
      default ->
          throw HoldfastException.usage(
              "HOLDFAST_KERNELS: there is no back end %s; known are cpu, reference", wanted.get());
    };
  }

  /** The native CPU kernels, where this build has them. */
  public static Optional<NativeKernels> cpu() {
    return Cpu.KERNELS;
  }

  /** Sets the threads of every native back end; results do not depend on it. */
  public static void threads(int threads) {
    cpu().ifPresent(kernels -> kernels.threads(threads));
  }
}
