package io.holdfast.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** Choosing a back end: what is asked for is taken or refused, never replaced. */
class KernelBackendsTest {
  @Test
  void whatIsAskedForIsTaken() {
    assertEquals("reference", KernelBackends.select(Optional.of("reference")).name());
    var cpu = KernelBackends.select(Optional.of("cpu"));
    assertEquals("cpu", cpu.name());
    assertSame(cpu, KernelBackends.select(Optional.of("cpu")));
  }

  @Test
  void anUnknownNameIsRefusedWithTheKnownOnes() {
    var error =
        assertThrows(HoldfastException.class, () -> KernelBackends.select(Optional.of("tpu")));
    assertEquals(ExitCode.USAGE, error.exitCode());
    assertTrue(error.getMessage().contains("'tpu'"), error.getMessage());
    assertTrue(error.getMessage().contains("cpu, cuda, reference"), error.getMessage());
  }

  /** Copies go where the CPU's kernels read them, and what was written comes back, it alone. */
  @Test
  void stagedCallsWriteWhatTheyShould() {
    var cpu = KernelBackends.cpu().orElseThrow();
    var staged = new StagedKernels(cpu, _ -> true);
    try (var arena = Arena.ofConfined()) {
      var h = Matrix.dense(arena.allocateFrom(JAVA_FLOAT, 3, 4, 5, 6), 2, 2, DType.FLOAT32);
      var u = Matrix.dense(arena.allocateFrom(JAVA_FLOAT, 1, 0).asReadOnly(), 2, 1, DType.FLOAT32);
      var c = Matrix.dense(arena.allocateFrom(JAVA_FLOAT, 0), 1, 1, DType.FLOAT32);
      staged.project(h, arena.allocateFrom(JAVA_LONG, 1), u, c);
      assertEquals(5, c.data().get(JAVA_FLOAT, 0));
      assertEquals(Math.sqrt(9 + 16 + 25 + 36), staged.norm(List.of(h)), 1e-6);
      staged.ablate(h, u);
      assertArrayEquals(new float[] {0, 4, 0, 6}, h.data().toArray(JAVA_FLOAT));
      var reached = new StagedKernels(cpu, _ -> false);
      reached.ablate(h, u);
      assertArrayEquals(new float[] {0, 4, 0, 6}, h.data().toArray(JAVA_FLOAT));
    }
  }

  @Test
  void cudaWithoutADeviceIsRefusedWithTheRemedy() {
    Assumptions.assumeTrue(KernelBackends.cuda().isEmpty(), "this machine has a CUDA device");
    var error =
        assertThrows(HoldfastException.class, () -> KernelBackends.select(Optional.of("cuda")));
    assertEquals(ExitCode.MISSING, error.exitCode());
    assertTrue(error.getMessage().matches(".*(install the CUDA toolkit|NVIDIA GPU).*"));
  }

  @Test
  void theDescriptionNamesInstructionsAndThreads() {
    KernelBackends.threads(3);
    try {
      var description = KernelBackends.cpu().orElseThrow().description();
      assertTrue(description.matches("(baseline|avx2|avx512), 3 threads"), description);
    } finally {
      KernelBackends.threads(0);
    }
  }

  @Test
  void memoryIsReachableAndCopied() {
    var cpu = KernelBackends.cpu().orElseThrow();
    var device = cpu.allocate(40);
    var back = cpu.allocate(40);
    device.fill((byte) 7);
    cpu.copy(device, back);
    assertEquals(-1, device.mismatch(back));
    assertThrows(IllegalArgumentException.class, () -> cpu.copy(device, cpu.allocate(39)));
  }
}
