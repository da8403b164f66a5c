package io.holdfast.torch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import java.util.List;
import java.util.Optional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/**
 * Where tensors are made. LibTorch's meta device has shapes and no values, and refuses sums with
 * tensors elsewhere, as a GPU does.
 */
class ComputeDeviceTest {
  @AfterEach
  void backToTheHost() {
    ComputeDevice.set(ComputeDevice.CPU);
    assertEquals(0, Scope.live(), "scopes left open");
  }

  @Test
  void aGpuThatIsNotThereIsMissingAndTheRemedyNamed() {
    Assumptions.assumeTrue(Gpus.count() == 0, "this machine has a GPU");
    for (var name : List.of("cuda", "cuda:1")) {
      var error = assertThrows(HoldfastException.class, () -> ComputeDevice.use(Optional.of(name)));
      assertEquals(ExitCode.MISSING, error.exitCode());
      assertTrue(error.getMessage().contains("Remedy"), error.getMessage());
      assertTrue(error.getMessage().contains("--device cpu"), error.getMessage());
    }
    assertEquals(ComputeDevice.CPU, ComputeDevice.current());
    assertTrue(Gpus.list().isEmpty());
  }

  @Test
  void aGpuBeyondTheLastIsMissing() {
    int count = Gpus.count();
    Assumptions.assumeTrue(count > 0, "this machine has no GPU");
    var error =
        assertThrows(
            HoldfastException.class, () -> ComputeDevice.use(Optional.of("cuda:" + count)));
    assertEquals(ExitCode.MISSING, error.exitCode());
    assertTrue(error.getMessage().contains("cuda:" + (count - 1)), error.getMessage());
  }

  @Test
  void namesAreChecked() {
    for (var name : List.of("gpu", "cuda:", "cuda:-1", "cuda:x", "meta", "CPU", "cuda:1000")) {
      var error = assertThrows(HoldfastException.class, () -> ComputeDevice.use(Optional.of(name)));
      assertEquals(ExitCode.USAGE, error.exitCode());
      assertTrue(error.getMessage().contains(name), error.getMessage());
    }
    assertEquals(3, new ComputeDevice("cuda:3").index());
    assertEquals("cpu", ComputeDevice.use(Optional.of("cpu")).name());
  }

  @Test
  void whoeverAsksForNoneGetsWhatWasChosen() {
    ComputeDevice.set(new ComputeDevice("meta"));
    assertEquals("meta", ComputeDevice.use(Optional.empty()).name());
  }

  private static boolean onMeta(Tensor tensor) {
    return tensor.device().is_meta();
  }

  @Test
  void tensorsAreMadeOnTheDevice() {
    ComputeDevice.set(new ComputeDevice("meta"));
    try (var scope = Scope.open()) {
      var there = Tensors.zeros(3);
      var here = torch.zeros(3);
      assertThrows(RuntimeException.class, () -> there.add(here));
      assertTrue(onMeta(there.add(Tensors.of(new float[3], 3))));
      assertTrue(onMeta(Tensors.range(2, 5).add(Tensors.of(new long[3], 3))));
      assertTrue(Tensors.of(new double[2][3]).device().is_cpu());
    }
  }
}
