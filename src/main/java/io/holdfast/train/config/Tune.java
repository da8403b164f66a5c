package io.holdfast.train.config;

import static io.holdfast.train.config.InvalidValue.unless;

import java.util.List;

/** What is trained: {@code tune: full}, or {@code tune: {lora: {...}}}. */
public sealed interface Tune {
  /** Every parameter that is not frozen. */
  record Full() implements Tune {}

  /**
   * A low-rank adapter (LoRA, Hu et al. 2021), in PEFT's files: W + alpha/rank B A.
   *
   * @param rank inner dimension of A {@code [rank, in]} and B {@code [out, rank]}
   * @param alpha numerator of the scale
   * @param dropout on the adapter's input, in [0, 1)
   * @param targets names of the projections that get an adapter, such as {@code q_proj}; or {@code
   *     all-linear}
   */
  record Lora(
      @Default("16") int rank,
      @Default("32") double alpha,
      @Default("0") double dropout,
      @Default("[q_proj, v_proj]") List<String> targets)
      implements Tune {
    public Lora {
      unless(rank >= 1, "rank", "must be at least 1, is %s", rank);
      unless(alpha > 0, "alpha", "must be positive, is %s", alpha);
      unless(dropout >= 0 && dropout < 1, "dropout", "must be in [0, 1), is %s", dropout);
      unless(!targets.isEmpty(), "targets", "must name at least one projection");
      targets = List.copyOf(targets);
    }
  }
}
