package io.holdfast.eval;

import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * How alike two models predict, over every token of some sequences.
 *
 * @param positions compared predictions
 * @param maxLogitDifference largest absolute difference of two logits; NaN where a model gives one
 * @param meanKl mean of KL(first || second) over the vocabulary, in nats
 * @param greedyAgreement share of positions where both find the same token most probable
 */
public record Parity(
    long positions, double maxLogitDifference, double meanKl, double greedyAgreement) {
  /** Logits of this many positions exist at a time, in double precision. */
  private static final long ROWS = 64;

  /** Compares two models of one vocabulary. */
  public static Parity of(Decoder first, Decoder second, List<int[]> sequences) {
    var sums = new Sums();
    for (int[] ids : sequences) {
      try (var scope = Scope.open();
          var noGrad = NoGrad.on()) {
        var one = hidden(first, ids);
        var other = hidden(second, ids);
        for (long start = 0; start < ids.length; start += ROWS) {
          long count = Math.min(ROWS, ids.length - start);
          try (var inner = Scope.open()) {
            sums.add(
                first.logits(one.narrow(0, start, count)).to(ScalarType.Double),
                second.logits(other.narrow(0, start, count)).to(ScalarType.Double));
          }
        }
      }
    }
    return sums.parity();
  }

  private static Tensor hidden(Decoder decoder, int[] ids) {
    long[] row = Arrays.stream(ids).asLongStream().toArray();
    var tokens = Tokens.rightPadded(Tensors.of(row, 1, row.length));
    return decoder.forward(tokens, AdapterMode.ON, Tap.NONE).select(0, 0);
  }

  private static final class Sums {
    long positions;
    double largest;
    double divergence;
    long agreed;

    /** Logits {@code [rows, V]} of both models. */
    void add(Tensor one, Tensor other) {
      positions += one.size(0);
      largest = Math.max(largest, one.sub(other).abs().max().item_double());
      var p = one.log_softmax(1);
      divergence += p.exp().mul(p.sub(other.log_softmax(1))).sum().item_double();
      agreed += torch.eq(best(one), best(other)).sum().item_long();
    }

    private static Tensor best(Tensor logits) {
      return torch.argmax(logits, new LongOptional(1), false);
    }

    Parity parity() {
      return new Parity(
          positions, largest, divergence / positions, (double) agreed / Math.max(1, positions));
    }
  }
}
