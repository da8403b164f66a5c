package io.holdfast.cli;

import io.holdfast.model.Adapters;
import io.holdfast.model.Decoder;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** {@code --model} and {@code --adapter}. */
final class ModelOption {
  @Option(
      names = {"-m", "--model"},
      paramLabel = "DIR",
      required = true,
      description = "Hugging Face folder.")
  private Path model;

  @Option(names = "--adapter", paramLabel = "DIR", description = "PEFT folder on top of it.")
  private Path adapter;

  /** The model's folder. */
  Path folder() {
    return model;
  }

  /** The model with its adapter switched in. */
  Decoder load() {
    var decoder = Decoder.load(model);
    try {
      if (adapter != null) {
        Adapters.load(decoder, adapter);
      }
      return decoder;
    } catch (RuntimeException e) {
      decoder.close();
      throw e;
    }
  }
}
