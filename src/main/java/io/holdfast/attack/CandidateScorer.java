package io.holdfast.attack;

import io.holdfast.kernels.Kernels;
import io.holdfast.model.Decoder;
import io.holdfast.model.SharedPrefix;
import io.holdfast.torch.LibTorch;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;

/**
 * The loss of many strings in the place of one prompt.
 *
 * <p>What comes before the string is read once. Of strings that differ from their parent from some
 * token on, the tokens before that are read once too: candidates go through the model in the order
 * of their first difference, those that share most first. Only positions that predict the target
 * reach the head.
 */
final class CandidateScorer implements AutoCloseable {
  private final Decoder decoder;
  private final AttackPrompt prompt;
  private final TargetHead head;
  private final int batchTokens;
  private int mostRows = Integer.MAX_VALUE;
  private SharedPrefix cache;
  private int cacheRows;
  private int cacheLength;

  /**
   * A scorer.
   *
   * @param batchTokens tokens read at a time, at most; where memory does not suffice for them, half
   *     as many rows are tried, and half of these
   */
  CandidateScorer(
      Decoder decoder, Kernels kernels, AttackPrompt prompt, TargetLoss loss, int batchTokens) {
    this.decoder = decoder;
    this.prompt = prompt;
    this.head = new TargetHead(kernels, decoder, loss);
    this.batchTokens = batchTokens;
  }

  /** Whether the model was made for the prompt with a string of some length. */
  boolean fits(int string) {
    return prompt.length(string) <= decoder.architecture().maxPositions();
  }

  /** A candidate, how much of the parent it begins with, and its place in the result. */
  private record Row(int index, int[] string, int shared) {}

  /**
   * Losses in the order of the candidates; each string is scored once.
   *
   * @param parent a string that many candidates begin with; may be empty
   */
  double[] losses(int[] parent, List<int[]> candidates) {
    // Draws repeat themselves: of 512 candidates a twentieth, by nanoGCG's defaults.
    var places = new LinkedHashMap<IntBuffer, Integer>();
    candidates.forEach(ids -> places.putIfAbsent(IntBuffer.wrap(ids), places.size()));
    double[] losses = retried(parent, places.keySet().stream().map(IntBuffer::array).toList());
    return candidates.stream()
        .mapToDouble(ids -> losses[places.get(IntBuffer.wrap(ids))])
        .toArray();
  }

  private double[] retried(int[] parent, List<int[]> candidates) {
    while (true) {
      try {
        return attempt(parent, candidates);
      } catch (RuntimeException e) {
        if (!LibTorch.outOfMemory(e) || cacheRows <= 1) {
          throw e;
        }
        mostRows = cacheRows / 2;
        drop();
      }
    }
  }

  private double[] attempt(int[] parent, List<int[]> candidates) {
    int[] tail = prompt.tail();
    int longest = candidates.stream().mapToInt(c -> c.length).max().orElse(0) + tail.length;
    boolean sharing =
        SharedPrefix.possible(
            decoder.architecture(), prompt.before().length, prompt.before().length + longest);
    var rows =
        IntStream.range(0, candidates.size())
            .mapToObj(i -> row(i, parent, candidates.get(i), sharing))
            .sorted(Comparator.comparingInt(Row::shared).reversed())
            .toList();
    reserve(Math.max(longest, parent.length + tail.length), rows.size(), sharing);
    cache.remember(sharing ? parent : new int[0]);
    var losses = new double[candidates.size()];
    for (int start = 0; start < rows.size(); ) {
      int end = end(rows, start, tail.length);
      score(rows.subList(start, end), tail, losses, sharing);
      start = end;
    }
    return losses;
  }

  private Row row(int index, int[] parent, int[] string, boolean sharing) {
    int differs = Arrays.mismatch(parent, string);
    int shared = differs < 0 ? string.length : differs;
    // The state that predicts the first target token must be among those that are computed.
    int most = prompt.after().length == 0 ? string.length - 1 : string.length;
    return new Row(index, string, sharing ? Math.max(0, Math.min(shared, most)) : 0);
  }

  /** As many rows as one batch holds. The last one shares least, and so decides for all. */
  private int end(List<Row> rows, int start, int tail) {
    int longest = 0;
    int end = start;
    while (end < rows.size() && end - start < Math.min(mostRows, cacheRows)) {
      longest = Math.max(longest, rows.get(end).string().length);
      long tokens = (longest + tail - rows.get(end).shared()) * (end - start + 1L);
      if (end > start && tokens > batchTokens) {
        break;
      }
      end++;
    }
    return end;
  }

  /** A cache for batches of sequences up to a length. */
  private void reserve(int longest, int candidates, boolean sharing) {
    int[] before = sharing ? prompt.before() : new int[0];
    int length = prompt.before().length + longest;
    int tail = Math.max(1, prompt.tail().length);
    int rows = Math.min(mostRows, Math.clamp(batchTokens / tail, 1, candidates));
    if (cache == null || length > cacheLength || rows > cacheRows) {
      drop();
      cacheRows = rows;
      cacheLength = length;
      cache = new SharedPrefix(decoder, before, rows, length);
    }
  }

  private void score(List<Row> rows, int[] tail, double[] losses, boolean sharing) {
    int shared = rows.getLast().shared();
    int[] lead = sharing ? new int[0] : prompt.before();
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

  private void drop() {
    if (cache != null) {
      cache.close();
      cache = null;
    }
  }

  @Override
  public void close() {
    drop();
  }
}
