package io.holdfast.model;

import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Function;
import org.bytedeco.pytorch.Tensor;

/** Log-probabilities that a model gives to sequences, a batch at a time. */
public final class Scorer {
  /** Logits that exist at a time: 256 MiB of them. */
  private static final int LOGITS = 1 << 26;

  private final Decoder decoder;
  private final LengthBatches batches;
  private final boolean lastLogits;

  /**
   * A scorer.
   *
   * @param batches sequences read together
   * @param lastLogits whether these are wanted
   */
  public Scorer(Decoder decoder, LengthBatches batches, boolean lastLogits) {
    this.decoder = decoder;
    this.batches = batches.forModel(decoder.architecture());
    this.lastLogits = lastLogits;
  }

  /** A scorer that reads {@code batch} sequences together. */
  public Scorer(Decoder decoder, int batch) {
    this(decoder, new LengthBatches(batch, Integer.MAX_VALUE), true);
  }

  /**
   * A sequence's score.
   *
   * @param logprobs natural log p(token i+1 | tokens 0..i), one fewer than tokens
   * @param lastLogits logits after the last token, {@code [V]}; empty where not wanted
   */
  public record Score(float[] logprobs, float[] lastLogits) {}

  /**
   * Scores any number of sequences, none of which may be empty.
   *
   * @param ids tokens of a sequence
   * @param results is handed each sequence's score, in order, as soon as it is there
   */
  public <T> void score(
      Iterator<T> sequences, Function<T, int[]> ids, BiConsumer<T, Score> results) {
    batches.run(
        sequences,
        sequence -> ids.apply(sequence).length,
        batch -> together(batch.stream().map(ids).toList()),
        results);
  }

  /** Scores in the order of the sequences. */
  public List<Score> score(List<int[]> sequences) {
    var scores = new ArrayList<Score>();
    score(sequences.iterator(), ids -> ids, (_, score) -> scores.add(score));
    return scores;
  }

  private List<Score> together(List<int[]> sequences) {
    int rows = sequences.size();
    int width = sequences.stream().mapToInt(ids -> ids.length).max().orElse(0);
    int predicted = sequences.stream().mapToInt(ids -> ids.length - 1).sum();
    var ids = new long[rows * width];
    // Where a token is predicted, and which; those of all rows one after the other.
    var from = new long[predicted];
    var targets = new long[predicted];
    var last = new long[rows];
    int n = 0;
    for (int r = 0; r < rows; r++) {
      int[] sequence = sequences.get(r);
      for (int t = 0; t < sequence.length; t++) {
        ids[r * width + t] = sequence[t];
        if (t > 0) {
          from[n] = (long) r * width + t - 1;
          targets[n++] = sequence[t];
        }
      }
      last[r] = (long) r * width + sequence.length - 1;
    }
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var tokens = Tokens.rightPadded(Tensors.of(ids, rows, width));
      var hidden = decoder.forward(tokens, AdapterMode.ON, Tap.NONE);
      var flat = hidden.reshape(-1, hidden.size(2));
      float[] logprobs = logprobs(flat, from, targets);
      float[] logits = lastLogits ? Tensors.floats(logits(flat, last)) : new float[0];
      int vocabulary = logits.length / rows;
      var scores = new ArrayList<Score>();
      int start = 0;
      for (int r = 0; r < rows; r++) {
        int end = start + sequences.get(r).length - 1;
        scores.add(
            new Score(
                Arrays.copyOfRange(logprobs, start, end),
                Arrays.copyOfRange(logits, r * vocabulary, (r + 1) * vocabulary)));
        start = end;
      }
      return scores;
    }
  }

  private float[] logprobs(Tensor hidden, long[] from, long[] targets) {
    var logprobs = new float[from.length];
    int chunk = Math.clamp(LOGITS / decoder.architecture().vocabulary(), 64, 512);
    for (int start = 0; start < from.length; start += chunk) {
      int end = Math.min(start + chunk, from.length);
      try (var scope = Scope.open()) {
        var chosen = Tensors.of(Arrays.copyOfRange(targets, start, end), end - start, 1);
        var logits = logits(hidden, Arrays.copyOfRange(from, start, end));
        var values = Tensors.floats(logits.log_softmax(1).gather(1, chosen));
        System.arraycopy(values, 0, logprobs, start, values.length);
      }
    }
    return logprobs;
  }

  private Tensor logits(Tensor hidden, long[] rows) {
    return decoder.logits(hidden.index_select(0, Tensors.of(rows, rows.length)));
  }
}
