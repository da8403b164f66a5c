package io.holdfast.attack;

import io.holdfast.attack.CandidateScorer.Row;
import io.holdfast.kernels.Kernels;
import io.holdfast.model.Decoder;
import io.holdfast.model.SharedPrefix;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Tensor;

/**
 * Batches of candidates, one after another, through the model: one cache of what they share, for
 * one thread at a time. Only positions that predict the target reach the head.
 */
final class CandidateLane implements AutoCloseable {
  private final Decoder decoder;
  private final AttackPrompt prompt;
  private final TargetHead head;
  private SharedPrefix cache;
  private int cacheRows;
  private int cacheLength;
  private boolean cacheShares;

  CandidateLane(Decoder decoder, Kernels kernels, AttackPrompt prompt, TargetLoss loss) {
    this.decoder = decoder;
    this.prompt = prompt;
    this.head = new TargetHead(kernels, decoder, loss);
  }

  /**
   * Reads what the next batches share.
   *
   * @param parent strings of the next batches begin with some of it
   * @param rows of a batch, at most
   * @param longest string with what follows it
   * @param sharing false where batches bring all their tokens themselves
   */
  void begin(int[] parent, int rows, int longest, boolean sharing) {
    int length = prompt.before().length + longest;
    boolean fits = length <= cacheLength && rows <= cacheRows && sharing == cacheShares;
    if (cache == null || !fits) {
      close();
      cacheShares = sharing;
      cacheRows = rows;
      cacheLength = length;
      cache = new SharedPrefix(decoder, sharing ? prompt.before() : new int[0], rows, length);
    }
    cache.remember(sharing ? parent : new int[0]);
  }

  /** Scores one batch, which shares no more of the parent than the one before it. */
  void score(List<Row> rows, double[] losses, boolean sharing) {
    int shared = rows.getLast().shared();
    int[] lead = sharing ? new int[0] : prompt.before();
    int[] tail = prompt.tail();
    int width =
        lead.length + rows.stream().mapToInt(row -> row.string().length).max().orElse(0) - shared;
    width += tail.length;
    int target = prompt.target().length;
    var ids = new long[rows.size() * width];
    var predicting = new long[rows.size() * target];
    for (int r = 0; r < rows.size(); r++) {
      int[] string = rows.get(r).string();
      int[] own = Arrays.copyOfRange(string, shared, string.length);
      int[] fed = AttackPrompt.join(lead, own, tail);
      for (int t = 0; t < fed.length; t++) {
        ids[r * width + t] = fed[t];
      }
      for (int t = 0; t < target; t++) {
        predicting[r * target + t] = (long) r * width + fed.length - target + t;
      }
    }
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      int first = (sharing ? prompt.before().length : 0) + shared;
      var hidden = cache.hidden(Tensors.of(ids, rows.size(), width), first);
      double[] values = head.losses(picked(hidden, predicting), prompt.target());
      for (int r = 0; r < rows.size(); r++) {
        losses[rows.get(r).index()] = values[r];
      }
    }
  }

  private static Tensor picked(Tensor hidden, long[] positions) {
    var flat = hidden.reshape(-1, hidden.size(2));
    return flat.index_select(0, Tensors.of(positions, positions.length));
  }

  @Override
  public void close() {
    if (cache != null) {
      cache.close();
      cache = null;
    }
  }
}
