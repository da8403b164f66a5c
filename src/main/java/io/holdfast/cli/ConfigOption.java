package io.holdfast.cli;

import io.holdfast.train.config.TrainConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** A configuration file, and what the command line changes in it. */
final class ConfigOption {
  @Parameters(index = "0", paramLabel = "CONFIG.yaml", description = "The run's configuration.")
  private Path file;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description = "Change a key, such as optimizer.lr=1e-4; may be repeated.")
  private List<String> overrides = new ArrayList<>();

  /** The file. */
  Path file() {
    return file;
  }

  /** The configuration, checked but for the files it names. */
  TrainConfig load() {
    return load(List.of());
  }

  /** The same with further keys changed, as {@code KEY=VALUE}. */
  TrainConfig load(List<String> more) {
    return TrainConfig.load(file, Stream.concat(overrides.stream(), more.stream()).toList());
  }
}
