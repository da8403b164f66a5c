package io.holdfast.cli;

import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.kernels.DType;
import io.holdfast.model.AdaptedDecoder;
import io.holdfast.model.Decoder;
import io.holdfast.train.TrainingData;
import java.nio.file.Path;
import java.util.List;
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

  /** The type of weights and hidden states. */
  enum Type {
    /** As stored, where that is bfloat16 or float32. */
    AUTO,
    /** The exact one. */
    FLOAT32,
    /** Half the memory; logits are float32 all the same. */
    BFLOAT16
  }

  @Option(
      names = "--dtype",
      paramLabel = "TYPE",
      description =
          "auto, float32 or bfloat16: what is computed in; auto is the type of the files, float32"
              + " for float16 (default: auto).")
  private Type dtype = Type.AUTO;

  /** The model's folder. */
  Path folder() {
    return model;
  }

  /** Identifies the weights, those of the adapter included. */
  String hash() {
    try (var files = ModelFolder.open(model)) {
      return adapter == null
          ? files.hash()
          : files.hash()
              + " with adapter "
              + TrainingData.hash(List.of(adapter.resolve("adapter_model.safetensors")));
    }
  }

  /** The model with its adapter switched in. */
  Decoder load() {
    var base =
        switch (dtype) {
          case AUTO -> Decoder.loadAsStored(model);
          case FLOAT32 -> Decoder.load(model, DType.FLOAT32);
          case BFLOAT16 -> Decoder.load(model, DType.BFLOAT16);
        };
    try {
      return adapter == null ? base : AdaptedDecoder.load(base, adapter).decoder();
    } catch (RuntimeException e) {
      base.close();
      throw e;
    }
  }
}
