package io.holdfast.kernels;

import io.holdfast.HoldfastException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.function.Supplier;

/** The one place where a back end is chosen. */
public final class KernelBackends {
  private static final String CPU_REMEDY =
      "install cmake and a C++17 compiler (apt-get install cmake g++ libgomp1) and build again with"
          + " `mvn package`";
  private static final String CUDA_REMEDY =
      "install the CUDA toolkit (nvcc and cudart), or set CUDA_HOME, and build again with"
          + " `mvn clean package`";

  private KernelBackends() {}

  /** A library that was looked for: its kernels, or why there are none. */
  private record Found(Optional<NativeKernels> kernels, String why) {
    static Found of(String name) {
      try {
        var library = NativeLibrary.find("holdfast_" + name);
        // The default stream is LibTorch's current one, unless somebody chose another.
        return new Found(
            library.map(found -> new NativeKernels(name, found, () -> MemorySegment.NULL)),
            "this build has no native %s kernels".formatted(name));
      } catch (IllegalArgumentException | UncheckedIOException e) {
        return new Found(
            Optional.empty(),
            "the native %s kernels do not load (%s)".formatted(name, e.getMessage()));
      }
    }
  }

  /** Loaded at most once, when first asked for. */
  private static final class Cpu {
    static final Found FOUND = Found.of("cpu");
  }

  /** Loaded at most once, when first asked for. */
  private static final class Cuda {
    static final Found FOUND = Found.of("cuda");
  }

  /** Warned at most once. */
  private static final class Fallback {
    static final Kernels KERNELS = warned();

    private static Kernels warned() {
      System.err.println(
          "holdfast: %s, going on with the slow 'reference' ones; remedy: %s"
              .formatted(Cpu.FOUND.why(), CPU_REMEDY));
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
      case "cpu" -> cpu().orElseThrow(() -> missing(Cpu.FOUND, CPU_REMEDY));
      case "cuda" ->
          usable(Cuda.FOUND.kernels().orElseThrow(() -> missing(Cuda.FOUND, CUDA_REMEDY)));
      default ->
          throw HoldfastException.usage(
              "kernels: there is no back end '%s'; HOLDFAST_KERNELS is one of cpu, cuda, reference",
              wanted.get());
    };
  }

  /** The native CPU kernels, where this build has them. */
  public static Optional<NativeKernels> cpu() {
    return Cpu.FOUND.kernels();
  }

  /**
   * The CUDA kernels, queued on the stream that each call asks for.
   *
   * @param stream the {@code cudaStream_t} that the calling thread queues its work on
   * @throws HoldfastException if this build lacks them or they cannot run here
   */
  public static NativeKernels cuda(Supplier<MemorySegment> stream) {
    var found = Cuda.FOUND.kernels().orElseThrow(() -> missing(Cuda.FOUND, CUDA_REMEDY));
    return usable(found).on(stream);
  }

  /** The CUDA kernels, where this build has them and this machine a device for them. */
  public static Optional<NativeKernels> cuda() {
    return Cuda.FOUND.kernels().filter(kernels -> kernels.whyUnavailable().isEmpty());
  }

  /** Sets the threads of the native CPU kernels; results do not depend on it. */
  public static void threads(int threads) {
    cpu().ifPresent(kernels -> kernels.threads(threads));
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

  private static HoldfastException missing(Found found, String remedy) {
    return HoldfastException.missing("%s; remedy: %s", found.why(), remedy);
  }
}
