package io.holdfast.torch;

import org.bytedeco.pytorch.global.torch;

/** The one setting for the number of threads. */
public final class Threads {
  static {
    LibTorch.ready();
  }

  private Threads() {}

  /** Sets the threads of LibTorch's pool, of its BLAS and of our kernels together. */
  public static void set(int threads) {
    torch.set_num_threads(threads);
  }

  /** Threads of one operation. */
  public static int get() {
    return torch.get_num_threads();
  }
}
