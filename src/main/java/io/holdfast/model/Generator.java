package io.holdfast.model;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Function;

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
    this.batches = new LengthBatches(batch, TOKENS).with(length -> one ? 0 : length);
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

  private record Numbered<T>(T item, Prompt prompt) {}

  /**
   * Continues any number of prompts, none of which may be empty.
   *
   * @param ids tokens of a prompt
   * @param results is handed each prompt's continuation, in order, as soon as it is there
   */
  public <T> void generate(
      Iterator<T> prompts,
      Function<T, int[]> ids,
      Generation settings,
      BiConsumer<T, Continuation> results) {
    var numbered =
        new Iterator<Numbered<T>>() {
          long index;

          @Override
          public boolean hasNext() {
            return prompts.hasNext();
          }

          @Override
          public Numbered<T> next() {
            var prompt = prompts.next();
            return new Numbered<>(prompt, new Prompt(index++, ids.apply(prompt)));
          }
        };
    batches.run(
        numbered,
        one -> one.prompt().ids().length,
        batch ->
            new Decoding(decoder, taps, settings, batch.stream().map(Numbered::prompt).toList())
                .run(),
        (one, continuation) -> results.accept(one.item(), continuation));
  }

  /** Continuations in the order of the prompts; prompts must not be empty. */
  public List<Continuation> generate(List<int[]> prompts, Generation settings) {
    var results = new ArrayList<Continuation>();
    generate(prompts.iterator(), ids -> ids, settings, (_, found) -> results.add(found));
    return results;
  }
}
