package io.holdfast.model;

import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.StringViewOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * The tokens that may come next in each row, and how probable they are.
 *
 * @param weights proportional to the probabilities, 0 for what was cut; float32 {@code [rows, k]}
 * @param ids the tokens they belong to, int64 {@code [rows, k]}; null where they are all in order
 */
record Candidates(Tensor weights, Tensor ids) {
  /** Enough for most nuclei; where it is not, more are sorted. */
  private static final long NUCLEUS = 256;

  /**
   * The distribution to draw from, in the order of {@code transformers}: temperature, top-k, top-p,
   * min-p, each on what the one before has left.
   *
   * @param logits float32 {@code [rows, V]}
   */
  static Candidates of(Tensor logits, Generation.Sampling.Random settings) {
    try (var scope = Scope.open()) {
      var scaled = logits.div(new Scalar(settings.temperature()));
      long vocabulary = logits.size(1);
      Tensor ids = null;
      Tensor weights;
      if (settings.topK() > 0 && settings.topK() < vocabulary) {
        var best = scaled.topk(settings.topK(), 1, true, true);
        weights = best.get0().softmax(1);
        ids = best.get1();
      } else {
        weights = scaled.softmax(1);
      }
      if (settings.topP() < 1) {
        if (ids == null) {
          var best = nucleus(weights, settings.topP());
          weights = best.weights();
          ids = best.ids();
        }
        // The probability of all that come before: the one that reaches top-p is kept.
        var before = weights.cumsum(1).sub(weights);
        weights = weights.masked_fill(before.ge(new Scalar(settings.topP())), new Scalar(0));
      }
      if (settings.minP() > 0) {
        var least = weights.amax(new long[] {1}, true).mul(new Scalar(settings.minP()));
        weights = weights.masked_fill(weights.lt(least), new Scalar(0));
      }
      // What topk returns lives in a tuple: detach() is a tensor of its own over the same memory.
      return new Candidates(scope.keep(weights), ids == null ? null : scope.keep(ids.detach()));
    }
  }

  /** The most probable tokens in falling order, as many as hold the probability in every row. */
  private static Candidates nucleus(Tensor probabilities, double topP) {
    long vocabulary = probabilities.size(1);
    for (long count = Math.min(NUCLEUS, vocabulary); ; count = Math.min(8 * count, vocabulary)) {
      var best = probabilities.topk(count, 1, true, true);
      if (count == vocabulary || best.get0().sum(1).min().item_float() >= topP) {
        return new Candidates(best.get0(), best.get1());
      }
    }
  }

  /**
   * One token of each row.
   *
   * @param uniform a number in [0, 1) for each row, which decides
   */
  long[] draw(double[] uniform) {
    try (var scope = Scope.open()) {
      // In double precision: the sum of a large vocabulary must still tell its tokens apart.
      var sums = weights.cumsum(1, new ScalarTypeOptional(ScalarType.Double));
      var target = sums.narrow(1, sums.size(1) - 1, 1).mul(Tensors.of(uniform, uniform.length, 1));
      // The first token whose sum exceeds the target, so never one of probability zero.
      var index =
          torch.searchsorted(
              sums, target, false, true, new StringViewOptional(), new TensorOptional());
      return Tensors.longs(ids == null ? index : ids.gather(1, index));
    }
  }
}
