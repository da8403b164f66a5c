package io.holdfast.torch;

import java.util.ArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntConsumer;
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

  /**
   * Runs tasks side by side, each with an equal share of the threads. Small operations gain by it:
   * no thread waits for another after each of them.
   *
   * @param tasks at most as many as there are threads
   * @param task is told its number; scopes of the calling thread are not its own
   * @throws RuntimeException that of the first task that failed, when all have ended
   */
  public static void share(int tasks, IntConsumer task) {
    if (tasks == 1) {
      task.accept(0);
      return;
    }
    int threads = get();
    try (var pool = Executors.newFixedThreadPool(tasks)) {
      var running = new ArrayList<Future<?>>();
      for (int i = 0; i < tasks; i++) {
        int number = i;
        running.add(
            pool.submit(
                () -> {
                  set(threads / tasks);
                  task.accept(number);
                }));
      }
      await(running);
    } finally {
      set(threads);
    }
  }

  private static void await(Iterable<Future<?>> running) {
    Throwable failed = null;
    for (var one : running) {
      try {
        one.get();
      } catch (ExecutionException e) {
        failed = failed == null ? e.getCause() : failed;
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IllegalStateException(e);
      }
    }
    switch (failed) {
      case null -> {}
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      default -> throw new IllegalStateException(failed);
    }
  }
}
