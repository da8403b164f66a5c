package io.holdfast.torch;

import io.holdfast.HoldfastException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.cuda.cudart.CUevent_st;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.cudart.cudaDeviceProp;
import org.bytedeco.cuda.cudart.cudaPointerAttributes;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.SizeTPointer;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch_cuda;

/** NVIDIA GPUs as LibTorch and CUDA see them. */
public final class Gpus {
  /** Whether this build's LibTorch is the one for GPUs. */
  public static final boolean BUILT =
      Gpus.class
              .getClassLoader()
              .getResource("org/bytedeco/pytorch/" + Loader.getPlatform() + "-gpu/libtorch_cuda.so")
          != null;

  private Gpus() {}

  /**
   * One GPU.
   *
   * @param name as NVIDIA calls it
   * @param architecture such as {@code sm_90}
   * @param freeBytes of its memory
   * @param totalBytes of its memory
   */
  public record Gpu(String name, String architecture, long freeBytes, long totalBytes) {}

  /** Loaded at most once, and only where LibTorch has found a device. */
  private static final class Bindings {
    static {
      Loader.load(torch_cuda.class);
    }

    private Bindings() {}

    static void ready() {
      // Initialising this class has done it.
    }
  }

  /** GPUs that LibTorch can compute on. */
  public static int count() {
    LibTorch.ready();
    return BUILT && torch.cuda_is_available() ? torch.cuda_device_count() : 0;
  }

  /** The GPUs that LibTorch can compute on, with their memory as it is now. */
  public static List<Gpu> list() {
    int count = count();
    List<Gpu> found = new ArrayList<>();
    if (count == 0) {
      return found;
    }
    Bindings.ready();
    byte before = torch_cuda.current_device();
    try (var scope = Scope.open()) {
      for (int i = 0; i < count; i++) {
        torch_cuda.set_device((byte) i);
        var properties = new cudaDeviceProp();
        check(cudart.cudaGetDeviceProperties(properties, i));
        var free = new SizeTPointer(1);
        var total = new SizeTPointer(1);
        check(cudart.cudaMemGetInfo(free, total));
        found.add(
            new Gpu(
                properties.name().getString(),
                "sm_%d%d".formatted(properties.major(), properties.minor()),
                free.get(),
                total.get()));
      }
    } finally {
      torch_cuda.set_device(before);
    }
    return found;
  }

  /** Why LibTorch has no GPU here, with the remedy; empty where it has one. */
  public static String whyNone() {
    if (count() > 0) {
      return "";
    }
    if (!driver()) {
      return "no NVIDIA GPU was found (there is no NVIDIA driver). Remedy: --device cpu (or unset"
          + " HOLDFAST_DEVICE), or a machine with a GPU and its driver";
    }
    return BUILT
        ? "LibTorch finds none that it can use. Remedy: check nvidia-smi (driver 580 or newer) and"
            + " CUDA_VISIBLE_DEVICES, and that LD_LIBRARY_PATH leads to the libraries of CUDA 13,"
            + " cuDNN 9 and NCCL 2"
        : "this build's LibTorch computes on the CPU alone. Remedy: mvn -Pcuda clean package, or"
            + " --device cpu";
  }

  /**
   * Makes a GPU this thread's current one.
   *
   * @throws HoldfastException if it is not there
   */
  static void require(int index) {
    int count = count();
    if (count == 0) {
      throw HoldfastException.missing("device cuda:%d: %s.", index, whyNone());
    }
    if (index >= count) {
      throw HoldfastException.missing(
          "device cuda:%d: LibTorch sees %d GPU%s, the last is cuda:%d. Remedy: name one of them;"
              + " CUDA_VISIBLE_DEVICES hides some.",
          index, count, count == 1 ? "" : "s", count - 1);
    }
    Bindings.ready();
    torch_cuda.set_device((byte) index);
  }

  /** The stream that LibTorch queues this thread's work on, a {@code cudaStream_t}. */
  static MemorySegment stream() {
    try (var scope = Scope.open()) {
      var stream = torch_cuda.getCurrentCUDAStream().stream();
      return stream == null ? MemorySegment.NULL : MemorySegment.ofAddress(stream.address());
    }
  }

  /** Whether memory is the host's own, which a kernel must not be given. */
  static boolean onHost(MemorySegment memory) {
    if (memory.byteSize() == 0 || memory.address() == 0) {
      return false;
    }
    try (var scope = Scope.open();
        var attributes = new cudaPointerAttributes()) {
      check(cudart.cudaPointerGetAttributes(attributes, new Tensors.Address(memory.address())));
      return attributes.type() == cudart.cudaMemoryTypeUnregistered
          || attributes.type() == cudart.cudaMemoryTypeHost;
    }
  }

  /** Seconds between two events of LibTorch's current stream around the work. */
  static double seconds(Runnable work) {
    try (var scope = Scope.open()) {
      var begin = event();
      var end = event();
      var queue = new CUstream_st(torch_cuda.getCurrentCUDAStream().stream());
      check(cudart.cudaEventRecord(begin, queue));
      work.run();
      check(cudart.cudaEventRecord(end, queue));
      check(cudart.cudaEventSynchronize(end));
      float[] milliseconds = new float[1];
      check(cudart.cudaEventElapsedTime(milliseconds, begin, end));
      check(cudart.cudaEventDestroy(begin));
      check(cudart.cudaEventDestroy(end));
      return milliseconds[0] / 1e3;
    }
  }

  private static CUevent_st event() {
    var event = new CUevent_st();
    check(cudart.cudaEventCreate(event));
    return event;
  }

  private static boolean driver() {
    try {
      return Files.isRegularFile(Path.of("/proc/driver/nvidia/version"))
          && !Files.readString(Path.of("/proc/driver/nvidia/version")).isBlank();
    } catch (IOException e) {
      return false;
    }
  }

  private static void check(int status) {
    if (status != 0) {
      throw new IllegalStateException(cudart.cudaGetErrorString(status).getString());
    }
  }
}
