package io.holdfast.torch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class ThreadsTest {
  private final int before = Threads.get();

  @AfterEach
  void restore() {
    Threads.set(before);
  }

  /** Each task waits for all others, so they can only end if they run at a time. */
  @Test
  void tasksRunSideBySideWithEqualShares() {
    Threads.set(6);
    var seen = new ConcurrentHashMap<Integer, Integer>();
    var all = new CountDownLatch(3);
    Threads.share(
        3,
        number -> {
          all.countDown();
          try {
            all.await();
          } catch (InterruptedException e) {
            throw new IllegalStateException(e);
          }
          seen.put(number, Threads.get());
        });
    assertEquals(Map.of(0, 2, 1, 2, 2, 2), seen);
    assertEquals(6, Threads.get());
  }

  @Test
  void oneTaskRunsOnTheCallersThread() {
    var caller = Thread.currentThread();
    Threads.share(1, number -> assertEquals(caller, Thread.currentThread()));
  }

  @Test
  void aFailureIsTheCallersWhenAllHaveEnded() {
    Threads.set(2);
    var ended = new AtomicInteger();
    var error =
        assertThrows(
            ArithmeticException.class,
            () ->
                Threads.share(
                    2,
                    number -> {
                      if (number == 0) {
                        throw new ArithmeticException("first");
                      }
                      ended.incrementAndGet();
                    }));
    assertEquals("first", error.getMessage());
    assertEquals(1, ended.get());
    assertEquals(2, Threads.get());
  }
}
