package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.model.Generation.Sampling;
import java.util.Objects;
import java.util.stream.Stream;
import picocli.CommandLine.Option;

/** How the next token is chosen, in the order in which the settings work. */
final class SamplingOptions {
  @Option(
      names = "--repetition-penalty",
      paramLabel = "X",
      description = "Above 1: what was said, prompt included, is less likely to be said again.")
  private double repetitionPenalty = 1;

  @Option(
      names = "--temperature",
      paramLabel = "X",
      description = "Draw from the softmax at this temperature.")
  private Double temperature;

  @Option(
      names = "--top-k",
      paramLabel = "K",
      description = "Draw from so many most probable tokens; 0 for all.")
  private Integer topK;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      description = "Draw from the smallest set of this probability.")
  private Double topP;

  @Option(
      names = "--min-p",
      paramLabel = "P",
      description = "Draw from tokens with this share of the most probable one's probability.")
  private Double minP;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "Seed of the draws (default: ${DEFAULT-VALUE}).")
  private long seed = 42;

  double repetitionPenalty() {
    if (!(repetitionPenalty > 0) || Double.isInfinite(repetitionPenalty)) {
      throw HoldfastException.usage("--repetition-penalty: must be positive; 1 changes nothing");
    }
    return repetitionPenalty;
  }

  Sampling sampling() {
    if (temperature == null) {
      if (Stream.of(topK, topP, minP).anyMatch(Objects::nonNull)) {
        throw HoldfastException.usage(
            "--top-k, --top-p and --min-p say what is drawn from; without --temperature the most"
                + " probable token is taken. Add --temperature 1, or leave them out.");
      }
      return new Sampling.Greedy();
    }
    if (!(temperature > 0) || temperature.isInfinite()) {
      throw HoldfastException.usage("--temperature: must be positive; leave it out for greedy");
    }
    int k = topK == null ? 0 : topK;
    double p = topP == null ? 1 : topP;
    double least = minP == null ? 0 : minP;
    if (k < 0 || !(p > 0 && p <= 1) || !(least >= 0 && least <= 1)) {
      throw HoldfastException.usage("--top-k is at least 0, --top-p in (0, 1], --min-p in [0, 1]");
    }
    return new Sampling.Random(temperature, k, p, least, seed);
  }
}
