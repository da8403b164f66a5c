package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.NativeKernels;
import io.holdfast.torch.Gpus;
import io.holdfast.torch.LibTorch;
import io.holdfast.torch.Threads;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Says what was found, what is missing, and how to get it. */
@Command(
    name = "doctor",
    description = "Say what was found on this machine, what is missing and how to get it.")
final class Doctor implements Runnable {
  @Spec private CommandSpec spec;
  private final List<String> remedies = new ArrayList<>();

  @Override
  public void run() {
    var out = spec.commandLine().getOut();
    line(out, "holdfast", Version.ofHoldfast());
    line(
        out,
        "java",
        "%s, %s, %s"
            .formatted(
                System.getProperty("java.version"),
                System.getProperty("java.vendor"),
                System.getProperty("java.home")));
    line(
        out,
        "system",
        "%s %s, %d cores"
            .formatted(
                System.getProperty("os.name"),
                System.getProperty("os.arch"),
                Runtime.getRuntime().availableProcessors()));
    line(out, "libtorch", libTorch());
    kernels(out);
    compilers(out);
    out.println();
    out.println(remedies.isEmpty() ? "Nothing is missing." : "What is missing:");
    remedies.forEach(remedy -> out.println("  " + remedy));
  }

  private String libTorch() {
    try {
      LibTorch.ready();
      return "%s, BLAS %s, %d threads"
          .formatted(Version.ofLibTorch(), LibTorch.BLAS, Threads.get());
    } catch (LinkageError e) {
      var cause = e.getCause() == null ? e : e.getCause();
      remedies.add(
          "LibTorch's native libraries do not load; they need glibc 2.28 or newer and libgomp"
              + " (apt-get install libgomp1), and ~/.javacpp must be writable");
      return "does not load: " + String.valueOf(cause.getMessage()).lines().findFirst().orElse("");
    }
  }

  /** Which kernels are there; asking for CUDA's is the way to learn why they are not. */
  private void kernels(PrintWriter out) {
    var cpu = KernelBackends.cpu().map(NativeKernels::description);
    line(out, "kernels", cpu.map("cpu (%s), reference"::formatted).orElse("reference (slow)"));
    if (cpu.isEmpty()) {
      remedies.add(
          "native kernels: the slow 'reference' ones are used; apt-get install cmake g++ (Fedora:"
              + " dnf install cmake gcc-c++; macOS: brew install cmake), then touch pom.xml");
    }
    var gpus = Machine.gpus();
    line(out, "gpu", gpus.isEmpty() ? "none" : String.join("; ", gpus));
    try {
      KernelBackends.select(Optional.of("cuda"));
      line(out, "cuda", KernelBackends.cuda().map(NativeKernels::description));
    } catch (HoldfastException e) {
      line(out, "cuda", gpus.isEmpty() ? "no GPU to run on" : "not usable, see below");
      if (!gpus.isEmpty()) {
        remedies.add(e.getMessage());
      }
    }
    devices(out, gpus);
  }

  /** What {@code --device} may name, with the memory that is free now. */
  private void devices(PrintWriter out, List<String> gpus) {
    var found = Gpus.list();
    line(out, "devices", found.isEmpty() ? "cpu" : "cpu, cuda:0 to cuda:" + (found.size() - 1));
    for (int i = 0; i < found.size(); i++) {
      var gpu = found.get(i);
      line(
          out,
          "cuda:" + i,
          "%s, %s, %.1f of %.1f GiB free"
              .formatted(
                  gpu.name(),
                  gpu.architecture(),
                  gpu.freeBytes() / (double) (1L << 30),
                  gpu.totalBytes() / (double) (1L << 30)));
    }
    if (found.isEmpty() && !gpus.isEmpty()) {
      remedies.add("training and decoding on the GPU: " + Gpus.whyNone());
    }
  }

  private void compilers(PrintWriter out) {
    line(out, "c++", Machine.tool("", "c++", "--version"));
    line(out, "cmake", Machine.tool("version", "cmake", "--version"));
    line(out, "nvcc", Machine.tool("release", "nvcc", "--version"));
    line(out, "mvn", Machine.onPath("mvn").map(Path::toString));
  }

  private static void line(PrintWriter out, String what, Optional<String> found) {
    line(out, what, found.orElse("none"));
  }

  private static void line(PrintWriter out, String what, String found) {
    out.printf("%-10s %s%n", what, found);
  }
}
