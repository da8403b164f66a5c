package io.holdfast.model;

import io.holdfast.text.StopStrings;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/** A prompt and what has been added to it. */
final class DecodedRow {
  private final int[] prompt;
  private final Generation settings;
  private final SplittableRandom random;
  private final StopStrings.Watch watch;
  private final int[] ids;
  private final float[] logprobs;
  private int count;
  private boolean stopped;

  DecodedRow(Generator.Prompt prompt, Generation settings) {
    this.prompt = prompt.ids();
    this.settings = settings;
    this.random = random(settings.sampling(), prompt.index());
    this.watch = settings.stopStrings().watch();
    this.ids = new int[settings.maxNewTokens()];
    this.logprobs = new float[settings.logprobs() ? ids.length : 0];
  }

  /**
   * The draws of a row depend on the seed and its place in the input alone, not on its company. The
   * generator is a counter whose steps are mixed, so both must be mixed before they start it: else
   * the next seed would give the same draws one later.
   */
  private static SplittableRandom random(Generation.Sampling sampling, long index) {
    if (!(sampling instanceof Generation.Sampling.Random drawn)) {
      return null;
    }
    long seed = new SplittableRandom(drawn.seed()).nextLong();
    return new SplittableRandom(new SplittableRandom(seed + index).nextLong());
  }

  int[] prompt() {
    return prompt;
  }

  /** Tokens so far, the prompt's included. */
  int length() {
    return prompt.length + count;
  }

  /** The prompt and what was added. */
  LongStream tokens() {
    return IntStream.concat(Arrays.stream(prompt), Arrays.stream(ids, 0, count)).asLongStream();
  }

  /** The newest token. */
  int last() {
    return ids[count - 1];
  }

  /** The next draw, in [0, 1). */
  double uniform() {
    return random.nextDouble();
  }

  /** Takes the next token; whether it was the last. */
  boolean take(int id, float logprob) {
    if (settings.stops().contains(id)) {
      stopped = true;
      return true;
    }
    if (settings.logprobs()) {
      logprobs[count] = logprob;
    }
    ids[count++] = id;
    stopped = watch.endsWith(id);
    return stopped || count == ids.length;
  }

  Generator.Continuation continuation() {
    return new Generator.Continuation(
        Arrays.copyOf(ids, count),
        settings.logprobs() ? Arrays.copyOf(logprobs, count) : logprobs,
        stopped);
  }
}
