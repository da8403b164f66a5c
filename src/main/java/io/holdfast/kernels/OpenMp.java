package io.holdfast.kernels;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;

/** The OpenMP runtime that our kernels share with LibTorch and its BLAS. */
public final class OpenMp {
  private static final String SPINS = "GOMP_SPINCOUNT";

  private OpenMp() {}

  /**
   * Makes OpenMP's waiting threads sleep early. By default they spin for milliseconds at every
   * barrier, which costs a factor of ten when another process wants the cores; 2,000 turns are
   * enough to keep the rate of an idle machine, 200 are not. The runtime reads the variable when it
   * is loaded, so this must come before any library that uses it; what the environment says already
   * stays.
   */
  public static void calm() {
    var setenv = Linker.nativeLinker().defaultLookup().find("setenv");
    if (setenv.isEmpty()
        || System.getenv("OMP_WAIT_POLICY") != null
        || System.getenv(SPINS) != null) {
      return;
    }
    var type =
        FunctionDescriptor.of(
            ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.JAVA_INT);
    try (var arena = Arena.ofConfined()) {
      int _ =
          (int)
              Linker.nativeLinker()
                  .downcallHandle(setenv.get(), type)
                  .invokeExact(arena.allocateFrom(SPINS), arena.allocateFrom("2000"), 0);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }
}
