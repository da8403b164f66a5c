package io.holdfast.model;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.function.Consumer;

/** Continues prompts, many at a time: padded on the left, with a cache of keys and values. */
public final class Generator {
  /** Prompt tokens read at a time, padding included. */
  private static final int TOKENS = 16384;

  private final Decoder decoder;
  private final List<Tap> taps;
  private final LengthBatches batches;

  /**
   * A generator.
   *
   * @param taps applied in every forward pass
   * @param batch prompts decoded together at most
   */
  public Generator(Decoder decoder, List<Tap> taps, int batch) {
    this.decoder = decoder;
    this.taps = taps;
    // Where the longest row decides the rotary frequencies, only rows of one length agree.
    boolean one = decoder.architecture().shortPositions() == Integer.MAX_VALUE;
    this.batches = new LengthBatches(batch, TOKENS, length -> one ? 0 : length);
  }

  /**
   * A continuation.
   *
   * @param ids new tokens, without the stop token that ended it, but with all that a stop string
   *     lies in
   * @param logprobs natural log-probability that the model gives to each of them, whatever they
   *     were drawn from; empty unless asked for
   * @param stopped whether a stop token or string ended it, rather than the length
   */
  public record Continuation(int[] ids, float[] logprobs, boolean stopped) {}

  /** A prompt and its place in the input, which its draws depend on. */
  record Prompt(long index, int[] ids) {}

  /**
   * Continues any number of prompts, none of which may be empty.
   *
   * @param results is handed the continuations in the order of the prompts, as they are done
   */
  public void generate(
      Iterator<int[]> prompts, Generation settings, Consumer<Continuation> results) {
    var numbered =
        new Iterator<Prompt>() {
          long index;

          @Override
          public boolean hasNext() {
            return prompts.hasNext();
          }

          @Override
          public Prompt next() {
            return new Prompt(index++, prompts.next());
          }
        };
    batches.run(
        numbered,
        prompt -> prompt.ids().length,
        batch -> new Decoding(decoder, taps, settings, batch).run(),
        results);
  }

  /** Continuations in the order of the prompts; prompts must not be empty. */
  public List<Continuation> generate(List<int[]> prompts, Generation settings) {
    var results = new ArrayList<Continuation>();
    generate(prompts.iterator(), settings, results::add);
    return results;
  }
}
