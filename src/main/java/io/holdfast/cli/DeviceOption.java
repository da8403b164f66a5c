package io.holdfast.cli;

import io.holdfast.torch.ComputeDevice;
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
   * Computes on what was asked for, or else on the best there is.
   *
   * @param configured the configuration's choice, which the command line overrides
   */
  void require(Optional<String> configured) {
    ComputeDevice.use(Optional.ofNullable(device).filter(d -> !d.isEmpty()).or(() -> configured));
  }
}
