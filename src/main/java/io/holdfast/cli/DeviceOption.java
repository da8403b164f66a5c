package io.holdfast.cli;

import io.holdfast.HoldfastException;
import java.util.Optional;
import picocli.CommandLine.Option;

/** {@code --device}, or {@code HOLDFAST_DEVICE}. */
final class DeviceOption {
  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      defaultValue = "${env:HOLDFAST_DEVICE}",
      description = "cpu, cuda or cuda:N; HOLDFAST_DEVICE if not given.")
  private String device;

  /**
   * Makes sure that what was asked for is there.
   *
   * @param configured the configuration's choice, which the command line overrides
   */
  void require(Optional<String> configured) {
    var wanted = Optional.ofNullable(device).filter(d -> !d.isEmpty()).or(() -> configured);
    wanted.ifPresent(DeviceOption::require);
  }

  private static void require(String name) {
    if (name.equals("cpu")) {
      return;
    }
    if (!name.matches("cuda(:\\d+)?")) {
      throw HoldfastException.usage("--device: expects cpu, cuda or cuda:N, not '%s'", name);
    }
    throw HoldfastException.missing(
        "device %s: %s. Remedy: --device cpu (or unset HOLDFAST_DEVICE).",
        name,
        Machine.gpus().isEmpty()
            ? "no NVIDIA GPU was found (nvidia-smi lists none)"
            : "this build's LibTorch computes on the CPU alone");
  }
}
