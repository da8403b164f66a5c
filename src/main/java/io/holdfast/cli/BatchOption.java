package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.model.LengthBatches;
import picocli.CommandLine.Option;

/** {@code --batch-size} and {@code --batch-tokens}: how much is read together. */
final class BatchOption {
  @Option(
      names = "--batch-size",
      paramLabel = "N",
      description = "Rows at a time, at most (default: ${DEFAULT-VALUE}).")
  private int rows = 16;

  @Option(
      names = "--batch-tokens",
      paramLabel = "N",
      description =
          "Tokens at a time, at most, padding included; a longer row goes alone (default:"
              + " ${DEFAULT-VALUE}).")
  private int tokens = 4096;

  LengthBatches batches() {
    if (rows < 1 || tokens < 1) {
      throw HoldfastException.usage("--batch-size and --batch-tokens are at least 1");
    }
    return new LengthBatches(rows, tokens);
  }
}
