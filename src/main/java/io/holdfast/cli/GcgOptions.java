package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.attack.GcgSettings;
import io.holdfast.attack.GcgSettings.Filter;
import io.holdfast.attack.GcgSettings.Positions;
import io.holdfast.attack.GcgSettings.Probe;
import io.holdfast.attack.GcgSettings.Search;
import io.holdfast.attack.GcgSettings.Stop;
import io.holdfast.attack.TargetLoss;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Set;
import picocli.CommandLine.Option;

/** GCG's settings; what is not given is the variant's. */
final class GcgOptions {
  /** Whose defaults. */
  enum Variant {
    /** nanoGCG. */
    NANOGCG,
    /** HarmBench's. */
    HARMBENCH
  }

  @Option(
      names = "--variant",
      paramLabel = "NAME",
      description = "Whose defaults: nanogcg or harmbench (default: nanogcg).")
  private Variant variant = Variant.NANOGCG;

  @Option(names = "--steps", paramLabel = "N", description = "Steps at most (250; 500).")
  private Integer steps;

  @Option(
      names = "--init",
      paramLabel = "TEXT",
      description = "The string to begin with ('x x x ...'; '! ! ! ...', twenty of them).")
  private String init;

  @Option(names = "--width", paramLabel = "N", description = "Candidates of a step (512).")
  private Integer width;

  @Option(names = "--topk", paramLabel = "N", description = "Tokens a position (256).")
  private Integer topk;

  @Option(names = "--replace", paramLabel = "N", description = "Positions a candidate (1).")
  private Integer replaced;

  @Option(
      names = "--positions",
      paramLabel = "HOW",
      description = "Where candidates differ: random (nanogcg) or even (harmbench).")
  private Positions positions;

  @Option(
      names = "--filter",
      paramLabel = "WHAT",
      description =
          "Candidates whose text becomes the same tokens again: the string alone (default), the"
              + " whole prompt, or none for all.")
  private Filter filter;

  @Option(names = "--non-ascii", description = "Allow tokens other than printable ASCII.")
  private boolean nonAscii;

  @Option(
      names = "--forbid",
      paramLabel = "FILE",
      description = "Words that no token may be, one a line.")
  private Path forbidden;

  @Option(
      names = "--mellowmax",
      paramLabel = "ALPHA",
      description = "Minimise mellowmax of the target's logits instead of the cross entropy.")
  private Double mellowmax;

  @Option(names = "--buffer", paramLabel = "N", description = "Strings kept (0).")
  private Integer buffer;

  @Option(
      names = "--early-stop",
      description = "End when every token of the target is the most probable one.")
  private boolean earlyStop;

  @Option(
      names = "--evaluate-every",
      paramLabel = "N",
      description = "End when the model complies, asked every N steps (never; 50); 0 for never.")
  private Integer evaluateEvery;

  @Option(
      names = "--evaluate-below",
      paramLabel = "LOSS",
      description = "Ask it from this loss on (0.05).")
  private Double evaluateBelow;

  @Option(names = "--seed", paramLabel = "N", description = "Of all draws (0).")
  private Long seed;

  @Option(
      names = "--batch-tokens",
      paramLabel = "N",
      description =
          "Candidate tokens read at a time, at most (default: ${DEFAULT-VALUE}); halved where"
              + " memory does not suffice.")
  private int batchTokens = GcgSettings.BATCH_TOKENS;

  /** The settings, with probe sampling where a draft model is given. */
  GcgSettings settings(boolean draft) {
    var base =
        switch (variant) {
          case NANOGCG -> GcgSettings.nanoGcg();
          case HARMBENCH -> GcgSettings.harmBench();
        };
    var search = base.search();
    var stop = base.stop();
    try {
      return new GcgSettings(
          or(steps, base.steps()),
          or(init, base.init()),
          new Search(
              or(width, search.width()),
              or(topk, search.topk()),
              or(replaced, search.replaced()),
              or(positions, search.positions()),
              or(filter, search.filter()),
              search.keepAllIfNone(),
              nonAscii,
              forbidden == null ? Set.of() : Search.words(forbidden)),
          mellowmax == null ? base.loss() : new TargetLoss.Mellowmax(mellowmax),
          or(buffer, base.bufferSize()),
          new Stop(
              earlyStop,
              or(evaluateEvery, stop.every()),
              or(evaluateBelow, GcgSettings.harmBench().stop().below()),
              GcgSettings.harmBench().stop().newTokens()),
          draft ? Optional.of(Probe.STANDARD) : Optional.empty(),
          or(seed, base.seed()),
          batchTokens);
    } catch (IllegalArgumentException e) {
      throw HoldfastException.usage("%s", e.getMessage()).causedBy(e);
    }
  }

  private static <T> T or(T given, T standard) {
    return given == null ? standard : given;
  }
}
