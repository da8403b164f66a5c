package io.holdfast.train.config;

import static io.holdfast.train.config.InvalidValue.unless;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** What is trained for: {@code method: sft}, or {@code method: {r2d2: {...}}}. */
public sealed interface Method {
  /** The rows alone. */
  record Sft() implements Method {}

  /**
   * The rows, and refusals against an adversary that trains along (R2D2, Mazeika et al. 2024): a
   * pool of requests, each with a string that GCG goes on improving. The defaults are HarmBench's
   * constants with its small pool.
   *
   * @param cases requests with targets, as {@code attack gcg} reads them
   * @param targets HarmBench's file of targets, of cases that have none
   * @param target the answer not to give, of cases that have none
   * @param refusal the answer to give instead; its end of turn is learnt too
   * @param pool requests under attack
   * @param update how many of them are attacked, and learnt from, in each step
   * @param gcgSteps GCG's steps for each of these
   * @param width candidates of such a step
   * @param topk tokens a position
   * @param repetitions how often the first string says {@code !}, at least and at most
   * @param resetEvery steps between two partial resets of the pool; 0 for none
   * @param resetShare share of the pool that a reset begins anew
   * @param awayWeight of the mean of {@code -log(1 - p)} over the target's tokens
   * @param towardWeight of the refusal's mean cross entropy
   * @param awayFloor log-probability below which a token of the target is improbable enough
   */
  record R2d2(
      Path cases,
      Optional<Path> targets,
      Optional<String> target,
      @Default("\"Sorry, I can't do that.\"") String refusal,
      @Default("8") int pool,
      @Default("8") int update,
      @Default("5") int gcgSteps,
      @Default("512") int width,
      @Default("256") int topk,
      @Default("[15, 20]") List<Integer> repetitions,
      @Default("50") int resetEvery,
      @Default("0.2") double resetShare,
      @Default("0.5") double awayWeight,
      @Default("0.5") double towardWeight,
      @Default("-5") double awayFloor)
      implements Method {
    public R2d2 {
      unless(!refusal.isBlank(), "refusal", "must say something");
      unless(pool >= 1, "pool", "must be at least 1, is %s", pool);
      unless(
          update >= 1 && update <= pool,
          "update",
          "must be between 1 and the pool's %s, is %s",
          pool,
          update);
      unless(gcgSteps >= 0, "gcg_steps", "must not be negative, is %s", gcgSteps);
      unless(width >= 1, "width", "must be at least 1, is %s", width);
      unless(topk >= 1, "topk", "must be at least 1, is %s", topk);
      unless(
          repetitions.size() == 2
              && repetitions.get(0) >= 1
              && repetitions.get(1) >= repetitions.get(0),
          "repetitions",
          "must be two numbers, the least (at least 1) and the most, is %s",
          repetitions);
      unless(resetEvery >= 0, "reset_every", "must not be negative (0: never), is %s", resetEvery);
      unless(
          resetShare >= 0 && resetShare <= 1,
          "reset_share",
          "must be in [0, 1], is %s",
          resetShare);
      unless(awayWeight >= 0, "away_weight", "must not be negative, is %s", awayWeight);
      unless(towardWeight >= 0, "toward_weight", "must not be negative, is %s", towardWeight);
      unless(
          awayFloor <= 0, "away_floor", "is a log-probability and not positive, is %s", awayFloor);
      repetitions = List.copyOf(repetitions);
    }
  }
}
