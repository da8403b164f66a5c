package io.holdfast.cli;

import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.Sha256;
import io.holdfast.model.StoredAdapter;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Option;

/** {@code --model} and {@code --adapter}. */
class ModelFolderOption {
  @Option(
      names = {"-m", "--model"},
      paramLabel = "DIR",
      required = true,
      description = "Hugging Face folder.")
  private Path model;

  @Option(
      names = "--adapter",
      paramLabel = "DIR",
      description = "PEFT or ReFT folder on top of it.")
  private Path adapter;

  /** The model's folder. */
  Path folder() {
    return model;
  }

  /** The adapter's folder, if one is named. */
  Optional<Path> adapter() {
    return Optional.ofNullable(adapter);
  }

  /** Identifies the weights, those of the adapter included. */
  String hash() {
    try (var files = ModelFolder.open(model)) {
      return adapter == null
          ? files.hash()
          : files.hash()
              + " with adapter "
              + Sha256.of(List.of(new StoredAdapter(adapter).weights()));
    }
  }
}
