package io.holdfast.torch;

import io.holdfast.HoldfastException;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.StagedKernels;
import java.util.Objects;
import java.util.Optional;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.DeviceOptional;
import org.bytedeco.pytorch.Generator;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/**
 * Where tensors live and LibTorch computes: one device for the whole process, as there is one
 * number of {@link Threads}. It is chosen before the first tensor is made, and {@link Tensors}
 * makes them there.
 *
 * @param name {@code cpu} or {@code cuda:N}
 */
public record ComputeDevice(String name) {
  /** The CPU. */
  public static final ComputeDevice CPU = new ComputeDevice("cpu");

  private static final String FORM = "cpu|cuda(:\\d{1,3})?";

  /** Null until it is chosen. */
  private static volatile ComputeDevice current;

  static {
    LibTorch.ready();
  }

  /** The device of this process. */
  public static ComputeDevice current() {
    return current == null ? CPU : current;
  }

  /**
   * Chooses the device of this process.
   *
   * @param wanted {@code cpu}, {@code cuda} or {@code cuda:N}; if empty, what was chosen before, or
   *     {@code HOLDFAST_DEVICE}, and if neither is there a GPU if LibTorch has one, else the CPU
   * @throws HoldfastException if it is not there; it is never replaced silently
   */
  public static ComputeDevice use(Optional<String> wanted) {
    if (wanted.isEmpty() && current != null) {
      return current;
    }
    var name =
        wanted
            .or(() -> Optional.ofNullable(System.getenv("HOLDFAST_DEVICE")))
            .filter(given -> !given.isEmpty())
            .orElseGet(() -> Gpus.count() > 0 ? "cuda" : "cpu");
    if (!name.matches(FORM)) {
      throw HoldfastException.usage("--device: expects cpu, cuda or cuda:N, not '%s'", name);
    }
    return set(name.equals("cuda") ? new ComputeDevice("cuda:0") : new ComputeDevice(name));
  }

  /** Chooses a device, {@code meta} too, where tensors have shapes and no values. */
  static ComputeDevice set(ComputeDevice device) {
    if (device.cuda()) {
      Gpus.require(device.index());
    }
    current = Objects.requireNonNull(device);
    return device;
  }

  /** Whether this is a GPU. */
  public boolean cuda() {
    return name.startsWith("cuda");
  }

  /** Which of several GPUs; 0 for the CPU. */
  public int index() {
    int colon = name.indexOf(':');
    return colon < 0 ? 0 : Integer.parseInt(name.substring(colon + 1));
  }

  /**
   * The kernels that reach this device's tensors: CUDA's, queued on LibTorch's current stream, or
   * those that {@link KernelBackends} chooses for the CPU.
   *
   * @throws HoldfastException if {@code HOLDFAST_KERNELS} asks for kernels that cannot
   */
  public Kernels kernels() {
    var asked = Optional.ofNullable(System.getenv("HOLDFAST_KERNELS"));
    if (!cuda()) {
      if (asked.equals(Optional.of("cuda"))) {
        throw HoldfastException.missing(
            "HOLDFAST_KERNELS=cuda: the CUDA kernels cannot reach tensors in host memory; remedy:"
                + " --device cuda, or HOLDFAST_KERNELS=cpu");
      }
      return KernelBackends.select(asked);
    }
    if (asked.isPresent() && !asked.get().equals("cuda")) {
      throw HoldfastException.missing(
          "HOLDFAST_KERNELS=%s: these kernels cannot reach tensors on %s; remedy: --device cpu, or"
              + " HOLDFAST_KERNELS=cuda",
          asked.get(), name);
    }
    return new StagedKernels(KernelBackends.cuda(Gpus::stream), Gpus::onHost);
  }

  /** The generator that dropout on this device draws from. */
  public Generator generator() {
    return cuda()
        ? torch.globalContext().defaultGenerator(libTorch())
        : torch.getDefaultCPUGenerator();
  }

  /** Seconds that work takes here: by the clock on the CPU, by events of its stream on a GPU. */
  public double seconds(Runnable work) {
    if (cuda()) {
      return Gpus.seconds(work);
    }
    long start = System.nanoTime();
    work.run();
    return (System.nanoTime() - start) / 1e9;
  }

  /** A tensor on this device: itself where it lies there already. */
  public Tensor place(Tensor tensor) {
    return equals(CPU) ? tensor : tensor.to(libTorch(), tensor.scalar_type());
  }

  DeviceOptional option() {
    return equals(CPU) ? new DeviceOptional() : new DeviceOptional(libTorch());
  }

  private Device libTorch() {
    return new Device(name);
  }

  @Override
  public String toString() {
    return name;
  }
}
