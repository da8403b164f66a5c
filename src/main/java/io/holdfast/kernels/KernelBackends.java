package io.holdfast.kernels;

import io.holdfast.HoldfastException;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/** The one place where a back end is chosen. */
public final class KernelBackends {
  private static final String CPU_REMEDY =
      "install cmake and a C++17 compiler (apt-get install cmake g++) and build again with"
          + " `mvn package`";
  private static final String CUDA_REMEDY =
      "install the CUDA toolkit (nvcc and cudart), or set CUDA_HOME, and build again with"
          + " `mvn clean package`";

  private KernelBackends() {}

  /** Loaded at most once, when first asked for. */
  private static final class Cpu {
    static final Optional<NativeKernels> KERNELS = load("cpu");
  }

  /** Loaded at most once, when first asked for. */
  private static final class Cuda {
    static final Optional<NativeKernels> KERNELS = load("cuda");
  }

  /** Warned at most once. */
  private static final class Fallback {
    static final Kernels KERNELS = warned();

    private static Kernels warned() {
      System.err.println(
          "holdfast: no native kernels in this build, going on with the slow 'reference' ones; "
              + CPU_REMEDY);
      return new ReferenceKernels();
    }
  }

  /**
   * A back end by name, or the CPU's.
   *
   * @param requested {@code cpu}, {@code cuda} or {@code reference}; if empty, {@code
   *     HOLDFAST_KERNELS}, and if that is not set either the native kernels of the CPU, or else the
   *     reference with a warning
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
      case "cpu" -> cpu().orElseThrow(() -> missing("CPU", CPU_REMEDY));
      case "cuda" -> usable(Cuda.KERNELS.orElseThrow(() -> missing("CUDA", CUDA_REMEDY)));
      default ->
          throw HoldfastException.usage(
              "kernels: there is no back end '%s'; HOLDFAST_KERNELS is one of cpu, cuda, reference",
              wanted.get());
    };
  }

  /** The native CPU kernels, where this build has them. */
  public static Optional<NativeKernels> cpu() {
    return Cpu.KERNELS;
  }

  /** The CUDA kernels, where this build has them and this machine a device for them. */
  public static Optional<NativeKernels> cuda() {
    return Cuda.KERNELS.filter(kernels -> kernels.whyUnavailable().isEmpty());
  }

  /** Sets the threads of the native CPU kernels; results do not depend on it. */
  public static void threads(int threads) {
    cpu().ifPresent(kernels -> kernels.threads(threads));
  }

  /** On the default stream, which is LibTorch's current one unless somebody chose another. */
  private static Optional<NativeKernels> load(String name) {
    return NativeLibrary.find("holdfast_" + name)
        .map(library -> new NativeKernels(name, library, () -> MemorySegment.NULL));
  }

  private static NativeKernels usable(NativeKernels kernels) {
    var why = kernels.whyUnavailable();
    if (!why.isEmpty()) {
      throw HoldfastException.missing(
          "the %s kernels cannot run here (%s); use a machine with an NVIDIA GPU and its driver, or"
              + " the 'cpu' kernels",
          kernels.name(), why);
    }
    return kernels;
  }

  private static HoldfastException missing(String name, String remedy) {
    return HoldfastException.missing(
        "the native %s kernels are not in this build; %s", name, remedy);
  }
}
