package io.holdfast.model;

import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;

/** Log-probabilities that a model gives to sequences, a batch at a time. */
public final class Scorer {
  /** Logits of this many rows exist at a time. */
  private static final int ROWS = 512;

  private final Decoder decoder;
  private final int batch;

  /** A scorer that reads {@code batch} sequences together. */
  public Scorer(Decoder decoder, int batch) {
    this.decoder = decoder;
    this.batch = batch;
  }

  /**
   * A sequence's score.
   *
   * @param logprobs natural log p(token i+1 | tokens 0..i), one fewer than tokens
   * @param lastLogits logits after the last token, {@code [V]}
   */
  public record Score(float[] logprobs, float[] lastLogits) {}

  /** Scores in the order of the sequences, none of which may be empty. */
  public List<Score> score(List<int[]> sequences) {
    var order =
        IntStream.range(0, sequences.size())
            .boxed()
            .sorted(Comparator.comparingInt(i -> sequences.get(i).length))
            .toList();
    var scores = new Score[sequences.size()];
    int border = decoder.architecture().shortPositions();
    for (int start = 0, end; start < order.size(); start = end) {
      end = Math.min(start + batch, order.size());
      while (sequences.get(order.get(start)).length <= border
          && sequences.get(order.get(end - 1)).length > border) {
        end--;
      }
      var part = order.subList(start, end);
      var found = together(part.stream().map(sequences::get).toList());
      for (int i = 0; i < part.size(); i++) {
        scores[part.get(i)] = found.get(i);
      }
    }
    return Arrays.asList(scores);
  }

  private List<Score> together(List<int[]> sequences) {
    int width = sequences.stream().mapToInt(ids -> ids.length).max().orElse(0);
    var ids = new long[sequences.size() * width];
    for (int r = 0; r < sequences.size(); r++) {
      for (int t = 0; t < sequences.get(r).length; t++) {
        ids[r * width + t] = sequences.get(r)[t];
      }
    }
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var hidden =
          decoder.forward(
              Tokens.rightPadded(Tensors.of(ids, sequences.size(), width)),
              AdapterMode.ON,
              Tap.NONE);
      var scores = new ArrayList<Score>();
      for (int r = 0; r < sequences.size(); r++) {
        scores.add(one(hidden.select(0, r), sequences.get(r)));
      }
      return scores;
    }
  }

  private Score one(Tensor hidden, int[] ids) {
    var logprobs = new float[ids.length - 1];
    for (int start = 0; start < logprobs.length; start += ROWS) {
      int count = Math.min(ROWS, logprobs.length - start);
      try (var scope = Scope.open()) {
        var targets = new long[count];
        for (int i = 0; i < count; i++) {
          targets[i] = ids[start + i + 1];
        }
        var logits = decoder.logits(hidden.narrow(0, start, count));
        var chosen = logits.log_softmax(1).gather(1, Tensors.of(targets, count, 1));
        System.arraycopy(Tensors.floats(chosen), 0, logprobs, start, count);
      }
    }
    try (var scope = Scope.open()) {
      var last = decoder.logits(hidden.narrow(0, ids.length - 1, 1));
      return new Score(logprobs, Tensors.floats(last));
    }
  }
}
