package io.holdfast.cli;

import io.holdfast.model.AdaptedDecoder;
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
    return adapter == null ? Decoder.load(model) : AdaptedDecoder.load(model, adapter).decoder();
  }
}
