package io.holdfast.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
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
