package io.holdfast.checkpoint;

/**
 * How a LoRA (Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models") was made:
 * {@code W + factor B A} for each of its modules, with what PEFT keeps beside it.
 *
 * @param base the base model's name or path; empty if unknown
 * @param scaling rank and factor of each module's update
 * @param dropout probability that an input value of an update is dropped while training, in [0, 1)
 * @param targets the modules that are adapted
 * @param saved the modules that are trained in full beside them
 */
public record LoraConfig(
    String base, Scaling scaling, double dropout, Targets targets, SavedModules saved) {
  /** Checks the range of the dropout. */
  public LoraConfig {
    if (!(dropout >= 0 && dropout < 1)) {
      throw new IllegalArgumentException("dropout must be in [0, 1), not " + dropout);
    }
  }

  /** Whether a linear module of this full name gets a low-rank update. */
  public boolean adapts(String module) {
    return targets.select(module) && !saved.keepsAway(module);
  }
}
