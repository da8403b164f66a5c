package io.holdfast.checkpoint;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.regex.Pattern;

/**
 * The rank r and the factor of each module's update {@code factor B A}.
 *
 * <p>A pattern is a regular expression over the end of a module's name that begins where a part of
 * the name does: {@code q_proj}, {@code layers.0.mlp.(up|gate)_proj}. The first that matches
 * counts.
 *
 * @param rank of modules without a pattern, at least 1
 * @param alpha of modules without a pattern
 * @param rankStabilized whether the factor is {@code alpha / sqrt(r)} (Kalajdzievski 2023, "A Rank
 *     Stabilization Scaling Factor for Fine-Tuning with LoRA") rather than {@code alpha / r}
 * @param ranks by pattern
 * @param alphas by pattern
 */
public record Scaling(
    int rank,
    double alpha,
    boolean rankStabilized,
    SequencedMap<String, Integer> ranks,
    SequencedMap<String, Double> alphas) {
  /** Checks the ranges. */
  public Scaling {
    ranks = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(ranks));
    alphas = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(alphas));
    checkRank("rank", rank);
    checkAlpha("alpha", alpha);
    ranks.forEach((pattern, value) -> checkRank("the rank of " + checked(pattern), value));
    alphas.forEach((pattern, value) -> checkAlpha("the alpha of " + checked(pattern), value));
  }

  /** The same rank for all modules, and the factor {@code alpha / r}. */
  public static Scaling of(int rank, double alpha) {
    return new Scaling(rank, alpha, false, new LinkedHashMap<>(), new LinkedHashMap<>());
  }

  private static void checkRank(String what, int rank) {
    if (rank < 1) {
      throw new IllegalArgumentException(what + " must be at least 1, not " + rank);
    }
  }

  private static void checkAlpha(String what, double alpha) {
    if (!Double.isFinite(alpha)) {
      throw new IllegalArgumentException(what + " must be finite, not " + alpha);
    }
  }

  private static String checked(String pattern) {
    ModuleNames.compile(pattern);
    return pattern;
  }

  /** The inner dimension of a module's update. */
  public int rank(String module) {
    return matching(ranks, module).orElse(rank);
  }

  /** The factor of a module's update. */
  public double factor(String module) {
    double r = rank(module);
    return matching(alphas, module).orElse(alpha) / (rankStabilized ? Math.sqrt(r) : r);
  }

  private static <V> Optional<V> matching(SequencedMap<String, V> values, String module) {
    return values.entrySet().stream()
        .filter(entry -> Pattern.matches("(.*\\.)?(" + entry.getKey() + ")", module))
        .findFirst()
        .map(java.util.Map.Entry::getValue);
  }
}
