package io.holdfast.torch;

import org.bytedeco.pytorch.GradMode;

/** A span of code in which LibTorch records nothing for a backward pass. */
public final class NoGrad implements AutoCloseable {
  static {
    LibTorch.ready();
  }

  private final boolean previous = GradMode.is_enabled();

  private NoGrad() {
    GradMode.set_enabled(false);
  }

  /** Stops recording on this thread until the result is closed. */
  public static NoGrad on() {
    return new NoGrad();
  }

  @Override
  public void close() {
    GradMode.set_enabled(previous);
  }
}
