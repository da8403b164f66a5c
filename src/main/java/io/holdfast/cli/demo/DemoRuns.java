package io.holdfast.cli.demo;

import io.holdfast.train.Progress;
import io.holdfast.train.config.TrainConfig;
import java.nio.file.Path;
import java.util.Optional;
import java.util.SequencedMap;

/** The runs of the demonstration, for others to use. */
public final class DemoRuns {
  private DemoRuns() {}

  /** Writes the base, the data and the configurations of the demonstration; trains nothing. */
  public static SequencedMap<String, TrainConfig> in(Path folder) {
    return new Story(folder, 0, Optional.empty(), Progress.Style.NONE, text -> {}).runs();
  }
}
