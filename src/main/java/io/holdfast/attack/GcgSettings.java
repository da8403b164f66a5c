package io.holdfast.attack;

import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * How GCG (Zou et al. 2023) searches.
 *
 * @param steps at most
 * @param init the string that the search begins with
 * @param search how candidates are drawn
 * @param loss what is made small
 * @param bufferSize strings kept; the search goes on from the best. 0 takes the best candidate of
 *     each step, even where the loss rises
 * @param stop when to end before the last step
 * @param probe candidates are screened by a smaller model, if given
 * @param seed of all draws; those of a step depend on it, the case and the step alone
 * @param batchTokens candidate tokens read at a time, at most
 */
public record GcgSettings(
    int steps,
    String init,
    Search search,
    TargetLoss loss,
    int bufferSize,
    Stop stop,
    Optional<Probe> probe,
    long seed,
    int batchTokens) {
  /** How many candidate tokens go through a model at a time: few enough to stay in its caches. */
  public static final int BATCH_TOKENS = 2048;

  /** Checks the ranges. */
  public GcgSettings {
    require(steps >= 1, "steps is at least 1, not %s", steps);
    require(bufferSize >= 0, "the buffer size is not negative: %s", bufferSize);
    require(batchTokens >= 1, "a batch has at least one token, not %s", batchTokens);
  }

  /** Where a step changes the string. */
  public enum Positions {
    /** Drawn for each candidate (nanoGCG). */
    RANDOM,
    /** Spread evenly over the string, one a candidate (llm-attacks, HarmBench). */
    EVEN
  }

  /** Which candidates are tokens that their text would become again. */
  public enum Filter {
    /** Those whose string, decoded and encoded alone, is the same (nanoGCG). */
    STRING,
    /** Those for which that is true of the whole prompt, so that text and tokens never differ. */
    PROMPT,
    /** All: for whoever feeds tokens, not text. */
    NONE
  }

  /**
   * How candidates are drawn.
   *
   * @param width candidates of a step
   * @param topk most promising tokens of a position, by the gradient
   * @param replaced positions that a candidate changes
   * @param positions which these are
   * @param filter what candidates must survive
   * @param keepAllIfNone whether all go on where none survives (HarmBench); otherwise it is an
   *     error
   * @param nonAscii whether tokens may be other than printable ASCII
   * @param forbidden words that no token may be, whatever their case and the blanks around them
   */
  public record Search(
      int width,
      int topk,
      int replaced,
      Positions positions,
      Filter filter,
      boolean keepAllIfNone,
      boolean nonAscii,
      Set<String> forbidden) {
    /** Checks the ranges. */
    public Search {
      require(width >= 1, "the search width is at least 1, not %s", width);
      require(topk >= 1, "topk is at least 1, not %s", topk);
      require(replaced >= 1, "a candidate changes at least one position, not %s", replaced);
      require(
          positions == Positions.RANDOM || replaced == 1,
          "evenly spread positions change one token each, not %s",
          replaced);
      // In order, so that the same settings read the same in every run.
      forbidden = Collections.unmodifiableSortedSet(new TreeSet<>(forbidden));
    }

    /**
     * The words of a file, one a line.
     *
     * @throws HoldfastException if it cannot be read
     */
    public static Set<String> words(Path file) {
      try {
        var words = new TreeSet<>(Files.readAllLines(file));
        words.removeIf(String::isBlank);
        return words;
      } catch (IOException e) {
        throw HoldfastException.unreadable(file, e);
      }
    }

    /** The same with other numbers of candidates, and of tokens a position. */
    public Search with(int candidates, int tokens) {
      return new Search(
          candidates, tokens, replaced, positions, filter, keepAllIfNone, nonAscii, forbidden);
    }

    /** The same with other words forbidden. */
    public Search withForbidden(Set<String> words) {
      return new Search(width, topk, replaced, positions, filter, keepAllIfNone, nonAscii, words);
    }
  }

  /**
   * When to end before the last step.
   *
   * @param greedy whether to end when every token of the target is the most probable one under the
   *     string of a step
   * @param every how often, in steps, to let the model answer and to end where it complied; 0 for
   *     never
   * @param below the loss from which on that is tried
   * @param newTokens length of these answers
   */
  public record Stop(boolean greedy, int every, double below, int newTokens) {
    /** All steps. */
    public static final Stop NEVER = new Stop(false, 0, 0, 0);

    /** When the target is what the model would say. */
    public static final Stop GREEDY = new Stop(true, 0, 0, 0);
  }

  /**
   * Probe sampling (Zhao et al. 2024): all candidates are scored by a draft model and a few by the
   * target; the better the two agree, the fewer of the draft's best are scored by the target.
   *
   * @param r divides the number of these
   * @param samplingFactor the share of candidates that both score is one over it
   */
  public record Probe(double r, int samplingFactor) {
    /** nanoGCG's constants. */
    public static final Probe STANDARD = new Probe(8, 16);

    /** Checks the ranges. */
    public Probe {
      require(r > 0, "probe sampling divides by a positive r, not %s", r);
      require(samplingFactor >= 1, "the sampling factor is at least 1, not %s", samplingFactor);
    }
  }

  /** nanoGCG's defaults. */
  public static GcgSettings nanoGcg() {
    return new GcgSettings(
        250,
        "x" + " x".repeat(19),
        new Search(512, 256, 1, Positions.RANDOM, Filter.STRING, false, false, Set.of()),
        new TargetLoss.CrossEntropy(),
        0,
        Stop.NEVER,
        Optional.empty(),
        0,
        BATCH_TOKENS);
  }

  /** HarmBench's variant: evaluation every 50 steps, and no step without candidates. */
  public static GcgSettings harmBench() {
    return new GcgSettings(
        500,
        "!" + " !".repeat(19),
        new Search(512, 256, 1, Positions.EVEN, Filter.STRING, true, false, Set.of()),
        new TargetLoss.CrossEntropy(),
        0,
        new Stop(false, 50, .05, 64),
        Optional.empty(),
        0,
        BATCH_TOKENS);
  }

  /** The same with another number of steps. */
  public GcgSettings withSteps(int newSteps) {
    return new GcgSettings(
        newSteps, init, search, loss, bufferSize, stop, probe, seed, batchTokens);
  }

  /** The same with another beginning. */
  public GcgSettings withInit(String newInit) {
    return new GcgSettings(
        steps, newInit, search, loss, bufferSize, stop, probe, seed, batchTokens);
  }

  /** The same with other candidates. */
  public GcgSettings with(Search newSearch) {
    return new GcgSettings(
        steps, init, newSearch, loss, bufferSize, stop, probe, seed, batchTokens);
  }

  /** The same with a buffer of another size. */
  public GcgSettings withBuffer(int newSize) {
    return new GcgSettings(steps, init, search, loss, newSize, stop, probe, seed, batchTokens);
  }

  /** The same with another end. */
  public GcgSettings with(Stop newStop) {
    return new GcgSettings(
        steps, init, search, loss, bufferSize, newStop, probe, seed, batchTokens);
  }

  /** The same with probe sampling. */
  public GcgSettings with(Probe newProbe) {
    return new GcgSettings(
        steps, init, search, loss, bufferSize, stop, Optional.of(newProbe), seed, batchTokens);
  }

  /** The same with another seed. */
  public GcgSettings withSeed(long newSeed) {
    return new GcgSettings(
        steps, init, search, loss, bufferSize, stop, probe, newSeed, batchTokens);
  }

  private static void require(boolean valid, String format, Object... arguments) {
    if (!valid) {
      throw new IllegalArgumentException(format.formatted(arguments));
    }
  }
}
