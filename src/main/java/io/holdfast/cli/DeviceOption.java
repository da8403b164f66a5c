package io.holdfast.cli;

import io.holdfast.torch.ComputeDevice;
import java.util.List;
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

  /** Computes on what was asked for, or else on the best there is. */
  void require() {
    ComputeDevice.use(asked());
  }

  /** What a configuration is to say instead of its own {@code device}, as {@code --set} has it. */
  List<String> override() {
    return asked().map("device="::concat).stream().toList();
  }

  private Optional<String> asked() {
    return Optional.ofNullable(device).filter(name -> !name.isEmpty());
  }
}
