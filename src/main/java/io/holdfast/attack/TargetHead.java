package io.holdfast.attack;

import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Kernels.KlDirection;
import io.holdfast.kernels.RowLoss;
import io.holdfast.model.Decoder;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * The head of a model over the positions that predict a target, and nothing else: losses of many
 * rows of hidden states, or the gradient of one.
 */
final class TargetHead {
  /** Logits that exist at a time: 64 MiB of them. */
  private static final int LOGITS = 1 << 24;

  private final Kernels kernels;
  private final Decoder decoder;
  private final TargetLoss loss;

  TargetHead(Kernels kernels, Decoder decoder, TargetLoss loss) {
    this.kernels = kernels;
    this.decoder = decoder;
    this.loss = loss;
  }

  /**
   * The loss of each row.
   *
   * @param hidden {@code [rows * target, d]} states that predict the target's tokens
   * @param target its tokens
   */
  double[] losses(Tensor hidden, int[] target) {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      int rows = Math.toIntExact(hidden.size(0)) / target.length;
      return switch (loss) {
        case TargetLoss.CrossEntropy() -> crossEntropies(hidden, target, rows);
        case TargetLoss.Mellowmax(double alpha) -> {
          var logits = chosen(hidden, labels(target, rows)).view(rows, target.length);
          var sums = logits.mul(new Scalar(-alpha)).logsumexp(1L);
          double[] values = Tensors.doubles(sums);
          yield Arrays.stream(values).map(v -> (v - Math.log(target.length)) / alpha).toArray();
        }
      };
    }
  }

  private double[] crossEntropies(Tensor hidden, int[] target, int rows) {
    int chunk = Math.max(1, LOGITS / decoder.architecture().vocabulary() / target.length);
    var losses = new double[rows];
    for (int start = 0; start < rows; start += chunk) {
      int count = Math.min(chunk, rows - start);
      try (var scope = Scope.open()) {
        long from = (long) start * target.length;
        var part = hidden.narrow(0, from, (long) count * target.length);
        var ce = crossEntropy(raw(part), labels(target, count), 0);
        for (int r = 0; r < count; r++) {
          double sum = 0;
          for (int t = 0; t < target.length; t++) {
            sum += ce[r * target.length + t];
          }
          losses[start + r] = sum / target.length;
        }
      }
    }
    return losses;
  }

  /** The loss of one row and its gradient by the hidden states. */
  record LossGradient(double loss, Tensor gradient) {}

  /**
   * The loss of one row with its gradient.
   *
   * @param hidden {@code [target, d]}
   */
  LossGradient gradient(Tensor hidden, int[] target) {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var labels = labels(target, 1);
      return switch (loss) {
        case TargetLoss.CrossEntropy() -> {
          var logits = raw(hidden);
          var ce = crossEntropy(logits, labels, 1f / target.length);
          double sum = 0;
          for (int t = 0; t < target.length; t++) {
            sum += ce[t];
          }
          var head = decoder.head();
          var back = torch.mm(logits.to(head.scalar_type()), head);
          yield new LossGradient(sum / target.length, scope.keep(back));
        }
        case TargetLoss.Mellowmax(double alpha) -> {
          var logits = chosen(hidden, labels);
          var scaled = logits.mul(new Scalar(-alpha));
          double sum = Tensors.doubles(scaled.logsumexp(0L))[0];
          // d/dz = -softmax(-a z), and d/dx c tanh(x/c) = 1 - tanh^2.
          var slope = scaled.softmax(0).neg_();
          double cap = decoder.architecture().logitCap();
          if (cap > 0) {
            var bent = logits.div(new Scalar(cap));
            slope.mul_(bent.square_().neg_().add_(new Scalar(1)));
          }
          var rows = decoder.head().index_select(0, Tensors.of(labels, labels.length));
          var back = rows.mul(slope.unsqueeze(1).to(rows.scalar_type()));
          double value = (sum - Math.log(target.length)) / alpha;
          yield new LossGradient(value, scope.keep(back));
        }
      };
    }
  }

  /** Logits before the cap, float32 {@code [rows, V]}. */
  private Tensor raw(Tensor hidden) {
    return hidden.matmul(decoder.head().t()).to(ScalarType.Float);
  }

  /** Capped logits of one token a row, float32 {@code [rows]}: the rest of the head is not read. */
  private Tensor chosen(Tensor hidden, long[] labels) {
    var head = decoder.head().index_select(0, Tensors.of(labels, labels.length));
    var logits = hidden.mul(head).to(ScalarType.Float).sum(1L);
    double cap = decoder.architecture().logitCap();
    return cap == 0 ? logits : logits.div(new Scalar(cap)).tanh().mul(new Scalar(cap));
  }

  /** Turns raw logits into the gradient of their weighted cross entropy; returns its values. */
  private float[] crossEntropy(Tensor logits, long[] labels, float weight) {
    var weights = new float[labels.length];
    Arrays.fill(weights, weight);
    var ce = Tensors.empty(labels.length);
    var cap = new RowLoss(KlDirection.FORWARD, 0, decoder.architecture().logitCap());
    kernels.crossEntropyKl(
        Tensors.matrix(logits),
        null,
        null,
        Tensors.memory(Tensors.of(labels, labels.length)),
        Tensors.memory(Tensors.of(weights, labels.length)),
        null,
        cap,
        Tensors.memory(ce),
        null);
    return Tensors.floats(ce);
  }

  private static long[] labels(int[] target, int rows) {
    var labels = new long[rows * target.length];
    for (int i = 0; i < labels.length; i++) {
      labels[i] = target[i % target.length];
    }
    return labels;
  }
}
