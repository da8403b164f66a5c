package io.holdfast.train;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Ctrl-C and SIGTERM as a question that a loop asks between two steps, so that it can save before
 * it stops. The second signal ends the process at once, as it would without this.
 *
 * <pre>{@code
 * try (var interrupt = Interrupt.watch()) {
 *   while (!trainer.done()) {
 *     trainer.step();
 *     if (interrupt.requested()) {
 *       throw HoldfastException.interrupted("stopped after step %d; %s", step, save());
 *     }
 *   }
 * }
 * }</pre>
 */
public final class Interrupt implements AutoCloseable {
  private static final List<String> SIGNALS = List.of("INT", "TERM");

  private final Map<String, Object> previous = new LinkedHashMap<>();
  private volatile boolean requested;

  private Interrupt() {}

  /** Watches until closed. */
  public static Interrupt watch() {
    var interrupt = new Interrupt();
    for (var signal : SIGNALS) {
      var handler = handler(() -> interrupt.received(signal));
      interrupt.previous.put(signal, install(signal, handler));
    }
    return interrupt;
  }

  /** Whether a signal has come. */
  public boolean requested() {
    return requested;
  }

  private void received(String signal) {
    requested = true;
    install(signal, previous.get(signal));
    System.err.println();
    System.err.println("holdfast: stopping after this step; once more stops at once");
  }

  @Override
  public void close() {
    previous.forEach(Interrupt::install);
  }

  // sun.misc.Signal is the only way to a signal from Java. It is exported by jdk.unsupported, but
  // the compiler warns of it in a way that cannot be silenced, hence by reflection.

  private static Object handler(Runnable action) {
    try {
      var type = Class.forName("sun.misc.SignalHandler");
      return Proxy.newProxyInstance(
          Interrupt.class.getClassLoader(),
          new Class<?>[] {type},
          (proxy, method, arguments) ->
              switch (method.getName()) {
                case "handle" -> {
                  action.run();
                  yield null;
                }
                case "equals" -> proxy == arguments[0];
                case "hashCode" -> System.identityHashCode(proxy);
                default -> "handler of Interrupt";
              });
    } catch (ClassNotFoundException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Installs a handler and returns the one before it. */
  private static Object install(String name, Object handler) {
    try {
      var type = Class.forName("sun.misc.Signal");
      var signal = type.getConstructor(String.class).newInstance(name);
      var handlerType = Class.forName("sun.misc.SignalHandler");
      return type.getMethod("handle", type, handlerType).invoke(null, signal, handler);
    } catch (InvocationTargetException e) {
      throw new IllegalStateException(e.getCause());
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }
}
