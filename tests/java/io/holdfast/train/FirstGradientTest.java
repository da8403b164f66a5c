package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.holdfast.Goldens;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels.KlDirection;
import io.holdfast.torch.Scope;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The gradient before the first update, guards included, against PyTorch's autograd. */
class FirstGradientTest {
  @TempDir Path temporary;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  @ParameterizedTest
  @CsvSource({
    "full, cpu",
    "full-tied, cpu",
    "lora-qv, cpu",
    "lora-all, cpu",
    "kl, cpu",
    "kl-lora, cpu",
    "lora-rich, cpu",
    "lora-parted, cpu",
    "lora-kept, cpu",
    "both-lora, cpu",
    "subspace, cpu",
    "subspace-filter, cpu",
    "both, cpu",
    "both, reference"
  })
  void equalsAutograd(String name, String backEnd) {
    var trace = Trace.of(name);
    var kernels = KernelBackends.select(Optional.of(backEnd));
    try (var window = TracedWindow.of(trace, KlDirection.FORWARD, kernels, temporary);
        var golden = Safetensors.open(trace.folder().resolve("first_gradients.safetensors"))) {
      var gradients = window.gradients();
      assertEquals(java.util.Set.copyOf(golden.names()), gradients.keySet());
      gradients.forEach(
          (parameter, values) ->
              Goldens.assertCloseRelative(
                  name + " " + parameter, Goldens.floats(golden, parameter), values, 1e-4));
    }
  }
}
