package io.holdfast.cli;

import io.holdfast.kernels.DType;
import io.holdfast.model.Decoder;
import io.holdfast.model.StoredAdapter;
import picocli.CommandLine.Option;

/** {@code --model}, {@code --adapter} and what they are computed in. */
final class ModelOption extends ModelFolderOption {
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

  /** The model with its adapter switched in. */
  Decoder load() {
    var base =
        switch (dtype) {
          case AUTO -> Decoder.loadAsStored(folder());
          case FLOAT32 -> Decoder.load(folder(), DType.FLOAT32);
          case BFLOAT16 -> Decoder.load(folder(), DType.BFLOAT16);
        };
    return adapter().map(folder -> new StoredAdapter(folder).on(base)).orElse(base);
  }
}
