package io.holdfast.model;

import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import org.bytedeco.pytorch.Tensor;

/**
 * Sequences that begin alike, many at a time: keys and values of what they share are computed once
 * and stand before those of every row.
 *
 * <p>What is shared has two parts: a prefix that never changes, and tokens after it that are
 * {@linkplain #remember remembered} until others are. A batch may share all of it or a beginning.
 */
public final class SharedPrefix implements AutoCloseable {
  private final Decoder decoder;
  private final KvCache cache;
  private final int prefix;
  private int intact;

  /**
   * Reads a prefix.
   *
   * @param prefix may be empty
   * @param rows of a batch, at most
   * @param longest sequence, prefix included
   */
  public SharedPrefix(Decoder decoder, int[] prefix, int rows, int longest) {
    this.decoder = decoder;
    this.prefix = prefix.length;
    this.cache =
        KvCache.rewindable(decoder.architecture(), decoder.weights().dtype(), rows, longest);
    read(prefix);
  }

  /**
   * Whether sequences up to a length may share a prefix of another. Where a longer sequence is
   * turned by other rotary frequencies, keys of a shorter one are of no use to it.
   */
  public static boolean possible(Architecture architecture, int prefix, int longest) {
    int border = architecture.shortPositions();
    return longest <= border || prefix > border;
  }

  /** Reads tokens that follow the prefix in many of the next sequences. */
  public void remember(int[] ids) {
    cache.rewind(prefix);
    read(ids);
  }

  private void read(int[] ids) {
    int from = cache.length();
    if (ids.length > 0) {
      try (var scope = Scope.open();
          var noGrad = NoGrad.on()) {
        cache.use(1);
        decoder.forward(tokens(Tensors.of(longs(ids), 1, ids.length)), AdapterMode.ON, Tap.NONE);
        cache.spread(from);
      }
    }
    intact = cache.length();
  }

  private Tokens tokens(Tensor ids) {
    return new Tokens(ids, null, null, cache);
  }

  private static long[] longs(int[] ids) {
    return Arrays.stream(ids).asLongStream().toArray();
  }

  /**
   * Hidden states after the final norm, of the tokens that follow what is shared.
   *
   * @param ids int64 {@code [rows, time]}, short rows padded on the right
   * @param shared tokens that these follow; what was remembered beyond them is forgotten
   * @return {@code [rows, time, d]}, in the caller's scope
   */
  public Tensor hidden(Tensor ids, int shared) {
    if (shared < prefix || shared > intact) {
      throw new IllegalArgumentException(
          "%d tokens shared, but only %d to %d are there".formatted(shared, prefix, intact));
    }
    cache.rewind(shared);
    cache.use(Math.toIntExact(ids.size(0)));
    intact = shared;
    return decoder.forward(tokens(ids), AdapterMode.ON, Tap.NONE);
  }

  @Override
  public void close() {
    cache.close();
  }
}
