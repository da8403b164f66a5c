package io.holdfast.train.config;

import static io.holdfast.train.config.InvalidValue.unless;

import io.holdfast.checkpoint.Layers;
import io.holdfast.checkpoint.LoraConfig;
import io.holdfast.checkpoint.ModuleNames;
import io.holdfast.checkpoint.SavedModules;
import io.holdfast.checkpoint.Scaling;
import io.holdfast.checkpoint.Targets;
import io.holdfast.model.AdaptedDecoder.Start;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.function.Supplier;

/**
 * What is trained: {@code tune: full}, {@code tune: {lora: {...}}} or {@code tune: {reft: {...}}}.
 */
public sealed interface Tune {
  /** Every parameter that is not frozen. */
  record Full() implements Tune {}

  /**
   * A low-rank adapter (LoRA, Hu et al. 2021), in PEFT's files: W + alpha/rank B A.
   *
   * @param rank inner dimension of A {@code [rank, in]} and B {@code [out, rank]}
   * @param alpha numerator of the scale
   * @param dropout on the adapter's input, in [0, 1)
   * @param targets the projections that get an adapter: ends of their names, such as {@code
   *     q_proj}; or {@code all-linear}; or one regular expression over the whole name, which is
   *     known by its special characters
   * @param exclude those of them that get none, in the same way
   * @param layers indices of the layers that get one; all if empty
   * @param layersPattern names of the lists that the layers are counted in; any if empty
   * @param rankStabilized whether the scale is alpha / sqrt(rank)
   * @param ranks by pattern of the module's name, instead of {@code rank}
   * @param alphas by pattern of the module's name, instead of {@code alpha}
   * @param modulesToSave ends of the names of modules that are trained in full beside the adapter
   * @param ensureWeightTying whether a tied head stays so when it or the embedding is one of them
   * @param init how A is drawn
   */
  record Lora(
      @Default("16") int rank,
      @Default("32") double alpha,
      @Default("0") double dropout,
      @Default("[q_proj, v_proj]") List<String> targets,
      @Default("[]") List<String> exclude,
      @Default("[]") List<Integer> layers,
      @Default("[]") List<String> layersPattern,
      @Default("false") boolean rankStabilized,
      @Default("{}") SequencedMap<String, Integer> ranks,
      @Default("{}") SequencedMap<String, Double> alphas,
      @Default("[]") List<String> modulesToSave,
      @Default("false") boolean ensureWeightTying,
      @Default("kaiming") Start init)
      implements Tune {
    /** What {@code tune: lora} says. */
    public static final Lora DEFAULT =
        new Lora(
            16,
            32,
            0,
            List.of("q_proj", "v_proj"),
            List.of(),
            List.of(),
            List.of(),
            false,
            new LinkedHashMap<>(),
            new LinkedHashMap<>(),
            List.of(),
            false,
            Start.KAIMING);

    /** What no module's name holds and most regular expressions do. */
    private static final String SPECIAL = ".*[^\\w.-].*";

    public Lora {
      unless(rank >= 1, "rank", "must be at least 1, is %s", rank);
      unless(alpha > 0, "alpha", "must be positive, is %s", alpha);
      unless(dropout >= 0 && dropout < 1, "dropout", "must be in [0, 1), is %s", dropout);
      unless(!targets.isEmpty(), "targets", "must name at least one projection");
      unless(
          layersPattern.isEmpty() || !layers.isEmpty(),
          "layers_pattern",
          "says where layers are counted: name them by layers");
      targets = List.copyOf(targets);
      exclude = List.copyOf(exclude);
      layers = List.copyOf(layers);
      layersPattern = List.copyOf(layersPattern);
      modulesToSave = List.copyOf(modulesToSave);
      ranks = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(ranks));
      alphas = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(alphas));
      scaling(rank, alpha, rankStabilized, ranks, alphas);
      targets(targets, exclude, layers, layersPattern);
      saved(modulesToSave, ensureWeightTying);
    }

    /** The same as PEFT keeps it, for an adapter on the base of this name. */
    public LoraConfig on(String base) {
      return new LoraConfig(
          base,
          scaling(rank, alpha, rankStabilized, ranks, alphas),
          dropout,
          targets(targets, exclude, layers, layersPattern),
          saved(modulesToSave, ensureWeightTying));
    }

    private static Scaling scaling(
        int rank,
        double alpha,
        boolean rankStabilized,
        SequencedMap<String, Integer> ranks,
        SequencedMap<String, Double> alphas) {
      alphas.forEach(
          (pattern, a) -> unless(a > 0, "alphas", "%s: must be positive, is %s", pattern, a));
      var none = new LinkedHashMap<String, Double>();
      valid("ranks", () -> new Scaling(rank, alpha, rankStabilized, ranks, none));
      return valid("alphas", () -> new Scaling(rank, alpha, rankStabilized, ranks, alphas));
    }

    private static Targets targets(
        List<String> names, List<String> exclude, List<Integer> layers, List<String> lists) {
      var wanted = valid("targets", () -> modules(names));
      Optional<ModuleNames> unwanted =
          exclude.isEmpty()
              ? Optional.empty()
              : Optional.of(valid("exclude", () -> modules(exclude)));
      unless(
          unwanted.filter(ModuleNames.AllLinear.class::isInstance).isEmpty(),
          "exclude",
          "all-linear leaves nothing to train");
      Optional<Layers> some =
          layers.isEmpty()
              ? Optional.empty()
              : Optional.of(valid("layers_pattern", () -> new Layers(layers, lists)));
      return valid("layers", () -> new Targets(wanted, unwanted, some));
    }

    private static SavedModules saved(List<String> names, boolean tied) {
      return valid("modules_to_save", () -> new SavedModules(names, tied));
    }

    private static ModuleNames modules(List<String> names) {
      if (names.equals(List.of(ModuleNames.AllLinear.WORD))) {
        return new ModuleNames.AllLinear();
      }
      var special = names.stream().filter(name -> name.matches(SPECIAL)).findFirst();
      if (special.isPresent() && names.size() > 1) {
        throw new IllegalArgumentException(
            "'%s' is a regular expression, which must stand alone".formatted(special.get()));
      }
      return special.isPresent()
          ? new ModuleNames.Matching(special.get())
          : new ModuleNames.Listed(names);
    }

    private static <T> T valid(String key, Supplier<T> made) {
      try {
        return made.get();
      } catch (IllegalArgumentException e) {
        throw new InvalidValue(key, key + ": " + e.getMessage());
      }
    }
  }

  /**
   * Learnt interventions on the residual stream (LoReFT, Wu et al. 2024) at every token: h + R^T (W
   * h + b - R h).
   *
   * @param rank rows of R
   * @param layers slots of the residual stream; every one between two blocks if empty
   */
  record Reft(@Default("4") int rank, @Default("[]") List<Integer> layers) implements Tune {
    public Reft {
      unless(rank >= 1, "rank", "must be at least 1, is %s", rank);
      layers = List.copyOf(layers);
    }
  }
}
