package io.holdfast.torch;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.Pointer;

/** Keeps native objects alive beyond the scope they were made in, and frees them together. */
public final class TensorOwner implements AutoCloseable {
  static {
    LibTorch.ready();
  }

  private final List<Pointer> owned = new ArrayList<>();

  /** Takes a native object over; it lives until this owner closes. */
  public <P extends Pointer> P own(P pointer) {
    pointer.retainReference();
    owned.add(pointer);
    return pointer;
  }

  /** Frees one of the owned objects now; one that was taken over twice must be freed twice. */
  public void release(Pointer pointer) {
    for (int i = owned.size() - 1; i >= 0; i--) {
      if (owned.get(i) == pointer) {
        owned.remove(i);
        break;
      }
    }
    pointer.releaseReference();
  }

  @Override
  public void close() {
    owned.reversed().forEach(Pointer::releaseReference);
    owned.clear();
  }
}
