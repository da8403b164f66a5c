package io.holdfast.kernels;

import java.lang.foreign.Arena;

/** The OpenMP runtime that our kernels share with LibTorch and its BLAS. */
public final class OpenMp {
  private static final String SPINS = "GOMP_SPINCOUNT";

  private OpenMp() {}

  /**
   * Makes OpenMP's waiting threads sleep early, but not at once. By default they spin for
   * milliseconds at every barrier, which makes a run take three times as long when other processes
   * want the cores. After 2,000 turns a virtual machine's core goes to sleep so often that its host
   * gives it away: up to half of the rate is lost. 20,000 turns, some tenths of a millisecond, suit
   * both. The runtime reads the variable when it is loaded, so this must come before any library
   * that uses it; what the environment says already stays.
   */
  public static void calm() {
    if (System.getenv("OMP_WAIT_POLICY") != null || System.getenv(SPINS) != null) {
      return;
    }
    try (var arena = Arena.ofConfined()) {
      var name = arena.allocateFrom(SPINS);
      var turns = arena.allocateFrom("20000");
      CFunction.standard("setenv").ifPresent(setenv -> setenv.call(name, turns, 0));
    }
  }
}
