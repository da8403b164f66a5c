package io.holdfast.torch;

import java.util.concurrent.atomic.AtomicInteger;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;

/**
 * A span of code in which native objects live. Every tensor made while the innermost scope of a
 * thread is open is freed when that scope closes, unless it was {@linkplain #keep kept} or is
 * {@linkplain TensorOwner owned}.
 *
 * <p>Holdfast runs without JavaCPP's garbage collection (it triples the cost of a small operation),
 * so a native object made outside any scope is a leak.
 */
public final class Scope implements AutoCloseable {
  static {
    LibTorch.ready();
  }

  private static final AtomicInteger LIVE = new AtomicInteger();

  private final PointerScope pointers;

  private Scope() {
    this.pointers = new PointerScope();
    LIVE.incrementAndGet();
  }

  /** Opens a scope on this thread, inside the one that is open now. */
  public static Scope open() {
    return new Scope();
  }

  /** Number of scopes open in the process; 0 when nothing runs. Tests watch it for leaks. */
  public static int live() {
    return LIVE.get();
  }

  /**
   * Moves a native object into the scope around this one, where it outlives this scope. Where there
   * is no scope around, the caller owns it and must close it.
   */
  public <P extends Pointer> P keep(P pointer) {
    pointer.retainReference();
    var enclosing = enclosing();
    if (enclosing != null) {
      enclosing.attach(pointer);
      pointer.releaseReference();
    }
    return pointer;
  }

  private PointerScope enclosing() {
    PointerScope found = null;
    boolean next = false;
    for (var scopes = PointerScope.getScopeIterator(); scopes != null && scopes.hasNext(); ) {
      var scope = scopes.next();
      if (next) {
        found = scope;
        break;
      }
      next = scope == pointers;
    }
    return found;
  }

  @Override
  public void close() {
    pointers.close();
    LIVE.decrementAndGet();
  }
}
