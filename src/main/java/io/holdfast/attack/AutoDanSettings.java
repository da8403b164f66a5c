package io.holdfast.attack;

/**
 * How AutoDAN (Liu et al. 2023) breeds prompts.
 *
 * @param method which of its two searches
 * @param steps at most
 * @param population prompts of a generation
 * @param elites share of them that goes on as it is
 * @param crossover probability that two parents are crossed, and that a word is replaced
 * @param points where two parents are crossed at most, and words replaced in a paragraph at most
 * @param mutation probability that a child becomes one of the initial prompts
 * @param sentencesEvery steps between two generations of sentences in HGA; in the others words are
 *     replaced
 * @param evaluateEvery steps between two answers of the model to the best prompt, which end the
 *     search where they comply; 0 for none
 * @param newTokens length of these answers
 * @param seed of all draws
 * @param batchTokens prompt tokens read at a time, at most
 */
public record AutoDanSettings(
    Method method,
    int steps,
    int population,
    double elites,
    double crossover,
    int points,
    double mutation,
    int sentencesEvery,
    int evaluateEvery,
    int newTokens,
    long seed,
    int batchTokens) {
  /** The two searches. */
  public enum Method {
    /** A genetic algorithm over sentences. */
    GA,
    /** The same every few steps; between them words move towards those of good prompts. */
    HGA
  }

  /** Checks the ranges. */
  public AutoDanSettings {
    require(steps >= 1, "steps is at least 1, not %s", steps);
    require(population >= 2, "a population has at least two prompts, not %s", population);
    require(elites >= 0 && elites < 1, "the share of elites is in [0, 1), not %s", elites);
    require(crossover >= 0 && crossover <= 1, "crossover is in [0, 1], not %s", crossover);
    require(points >= 1, "prompts are crossed at one point at least, not %s", points);
    require(mutation >= 0 && mutation <= 1, "mutation is in [0, 1], not %s", mutation);
    require(sentencesEvery >= 1, "generations are at least one step apart, not %s", sentencesEvery);
    require(evaluateEvery >= 0, "evaluations are not a negative number apart: %s", evaluateEvery);
    require(batchTokens >= 1, "a batch has at least one token, not %s", batchTokens);
  }

  /** The paper's constants. */
  public static AutoDanSettings standard(Method method) {
    return new AutoDanSettings(
        method, 100, 256, .05, .5, 5, .01, 5, 5, 64, 20, 2 * GcgSettings.BATCH_TOKENS);
  }

  /** How many prompts go on as they are. */
  int elite() {
    return Math.max(1, (int) (population * elites));
  }

  private static void require(boolean valid, String format, Object... arguments) {
    if (!valid) {
      throw new IllegalArgumentException(format.formatted(arguments));
    }
  }
}
