package io.holdfast.train.config;

import static io.holdfast.train.config.InvalidValue.unless;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A published method that a guard is compared with, {@code guard.baselines: [{l2: {...}}, ...]}.
 * The classes of {@code io.holdfast.guard.baseline} name their papers. Files are rows to train on,
 * with their answers.
 */
public sealed interface Baseline {
  /** The files it reads, by key. */
  default Map<String, Path> files() {
    return Map.of();
  }

  /** The key that chooses it. */
  default String key() {
    return Binding.snake(getClass().getSimpleName());
  }

  /**
   * L2 to the start.
   *
   * @param weight of {@code weight/2 ||w - w_0||^2}
   */
  record L2(double weight) implements Baseline {
    public L2 {
      positive("weight", weight);
    }
  }

  /**
   * Elastic weight consolidation.
   *
   * @param weight of {@code weight/2 sum F (w - w_0)^2}
   * @param data safety rows on which the Fisher information is estimated
   */
  record Ewc(double weight, Path data) implements Baseline {
    public Ewc {
      positive("weight", weight);
    }

    @Override
    public Map<String, Path> files() {
      return Map.of("data", data);
    }
  }

  /**
   * Safety-data mixing.
   *
   * @param data safety rows
   * @param rows how many of them join a micro-batch
   */
  record Replay(Path data, @Default("2") int rows) implements Baseline {
    public Replay {
      positive("rows", rows);
    }

    @Override
    public Map<String, Path> files() {
      return Map.of("data", data);
    }
  }

  /**
   * Frozen safety layers (SPPFT).
   *
   * @param first block that is frozen, from 0
   * @param last block that is frozen
   */
  record FrozenLayers(int first, int last) implements Baseline {
    public FrozenLayers {
      unless(first >= 0, "first", "must not be negative, is %s", first);
      unless(last >= first, "last", "must not be before first (%s), is %s", first, last);
    }
  }

  /**
   * Plain gradient projection.
   *
   * @param basis a safety subspace, as safetensors
   */
  record GradientProjection(Path basis) implements Baseline {
    @Override
    public Map<String, Path> files() {
      return Map.of("basis", basis);
    }
  }

  /**
   * SafeLoRA, for a LoRA.
   *
   * @param unaligned the model before its alignment, a Hugging Face folder
   * @param threshold largest cosine of an update that is projected
   * @param modules how many updates are projected instead
   */
  record SafeLora(Path unaligned, @Default("0.5") double threshold, Optional<Integer> modules)
      implements Baseline {
    public SafeLora {
      unless(
          threshold >= -1 && threshold <= 1, "threshold", "must be in [-1, 1], is %s", threshold);
      modules.ifPresent(n -> positive("modules", n));
    }

    @Override
    public Map<String, Path> files() {
      return Map.of("unaligned", unaligned.resolve("config.json"));
    }
  }

  /**
   * SaLoRA, for a LoRA.
   *
   * @param data safety rows
   * @param rank output directions of each matrix that its update keeps out of
   */
  record SaLora(Path data, @Default("32") int rank) implements Baseline {
    public SaLora {
      positive("rank", rank);
    }

    @Override
    public Map<String, Path> files() {
      return Map.of("data", data);
    }
  }

  /**
   * Vaccine, for a run on alignment rows.
   *
   * @param rho length of the perturbation
   */
  record Vaccine(@Default("2") double rho) implements Baseline {
    public Vaccine {
      positive("rho", rho);
    }
  }

  /**
   * Lisa.
   *
   * @param data safety rows
   * @param alignmentSteps of a turn on them
   * @param userSteps of a turn on the run's own rows
   * @param rho strength of the pull to where a turn began
   */
  record Lisa(
      Path data,
      @Default("10") int alignmentSteps,
      @Default("90") int userSteps,
      @Default("1") double rho)
      implements Baseline {
    public Lisa {
      positive("alignment_steps", alignmentSteps);
      positive("user_steps", userSteps);
      positive("rho", rho);
    }

    @Override
    public Map<String, Path> files() {
      return Map.of("data", data);
    }
  }

  /**
   * Booster, for a run on alignment rows.
   *
   * @param data harmful rows
   * @param lambda weight of the term
   * @param alpha length of the harmful step
   */
  record Booster(Path data, @Default("5") double lambda, @Default("0.1") double alpha)
      implements Baseline {
    public Booster {
      positive("lambda", lambda);
      positive("alpha", alpha);
    }

    @Override
    public Map<String, Path> files() {
      return Map.of("data", data);
    }
  }

  /**
   * Antidote.
   *
   * @param data harmful rows
   * @param share of each row's weights that is set to zero after the run
   */
  record Antidote(Path data, @Default("0.1") double share) implements Baseline {
    public Antidote {
      unless(share > 0 && share < 1, "share", "must be between 0 and 1, is %s", share);
    }

    @Override
    public Map<String, Path> files() {
      return Map.of("data", data);
    }
  }

  /**
   * Circuit breakers: a run without cross entropy, on rows whose states are to stay.
   *
   * @param data harmful rows
   * @param layers slots of the residual stream at which harmful states are turned away
   * @param strength of both terms
   * @param steps length of the schedule between them
   */
  record CircuitBreakers(
      Path data, List<Integer> layers, @Default("10") double strength, @Default("150") int steps)
      implements Baseline {
    public CircuitBreakers {
      unless(!layers.isEmpty(), "layers", "must name a slot of the residual stream");
      layers.forEach(l -> unless(l >= 0, "layers", "must not be negative, has %s", l));
      positive("strength", strength);
      positive("steps", steps);
      layers = List.copyOf(layers);
    }

    @Override
    public Map<String, Path> files() {
      return Map.of("data", data);
    }
  }

  /**
   * RepNoise, for a run on harmless rows.
   *
   * @param data harmful rows
   * @param alpha weight of the ascent on harmful answers
   * @param beta weight of the distance from noise
   */
  record RepNoise(Path data, @Default("1") double alpha, @Default("0.001") double beta)
      implements Baseline {
    public RepNoise {
      positive("alpha", alpha);
      positive("beta", beta);
    }

    @Override
    public Map<String, Path> files() {
      return Map.of("data", data);
    }
  }

  private static void positive(String key, double value) {
    unless(value > 0, key, "must be positive, is %s", value);
  }

  /**
   * Why these methods cannot hold a run of this kind together, or nothing.
   *
   * @param kl whether a KL guard holds it too
   */
  static Optional<String> conflict(
      List<Baseline> all,
      Tune tune,
      TrainConfig.Precision precision,
      boolean recomputed,
      boolean kl) {
    for (int i = 0; i < all.size(); i++) {
      var one = all.get(i);
      for (var other : all.subList(0, i)) {
        if (other.getClass() == one.getClass()) {
          return Optional.of("%s is named twice".formatted(one.key()));
        }
        if (oneRunEach(one) && oneRunEach(other)) {
          return Optional.of(
              "%s and %s each have a run of their own; run one after the other"
                  .formatted(other.key(), one.key()));
        }
      }
      var alone = alone(one, tune, precision, recomputed, kl);
      if (alone.isPresent()) {
        return alone;
      }
    }
    return Optional.empty();
  }

  private static Optional<String> alone(
      Baseline one, Tune tune, TrainConfig.Precision precision, boolean recomputed, boolean kl) {
    boolean lora = tune instanceof Tune.Lora;
    boolean narrow = precision != TrainConfig.Precision.FLOAT32;
    return switch (one) {
      case SafeLora _, SaLora _ when !lora ->
          Optional.of("%s projects the updates of a LoRA; say tune: lora".formatted(one.key()));
      case Vaccine _, Booster _, Antidote _, CircuitBreakers _, RepNoise _ when narrow ->
          Optional.of("%s needs precision: float32".formatted(one.key()));
      case Vaccine _ when recomputed ->
          Optional.of("vaccine and activation_checkpointing exclude each other");
      case CircuitBreakers _ when kl ->
          Optional.of("circuit_breakers trains without logits, so kl would hold nothing");
      default -> Optional.empty();
    };
  }

  /** Methods that change what a whole run is: what it learns from, or how. */
  private static boolean oneRunEach(Baseline one) {
    return switch (one) {
      case Lisa _, Replay _, Vaccine _, Booster _, CircuitBreakers _, RepNoise _ -> true;
      default -> false;
    };
  }
}
