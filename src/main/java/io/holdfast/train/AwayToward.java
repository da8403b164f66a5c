package io.holdfast.train;

import static org.bytedeco.pytorch.global.torch.mm;

import io.holdfast.data.Batch;
import io.holdfast.guard.HeadLoss;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Kernels.KlDirection;
import io.holdfast.kernels.RowLoss;
import io.holdfast.model.Decoder;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * R2D2's two losses on one batch, with their gradient in closed form (Mazeika et al. 2024):
 *
 * <pre>
 * away   = -(1/N) sum over the targets' tokens with log p >= floor of log(1 - p)
 * toward = mean cross entropy of the refusals' tokens
 * </pre>
 *
 * The gradient of {@code -log(1 - p)} by the logits is that of the cross entropy times {@code -p/(1
 * - p)}, so one kernel serves both.
 */
final class AwayToward implements HeadLoss {
  /** Smallest 1 - p: nearer to certainty float32 does not tell one from another. */
  private static final double CERTAIN = 1e-7;

  private final Kernels kernels;
  private final Decoder model;
  private final int targets;
  private final double awayWeight;
  private final double towardWeight;
  private final double floor;
  private double away;
  private double toward;

  /**
   * The losses of one batch.
   *
   * @param targets how many examples, from the first, have answers not to give; the others have
   *     refusals
   * @param floor log-probability below which a token is left alone
   */
  AwayToward(
      Kernels kernels,
      Decoder model,
      int targets,
      double awayWeight,
      double towardWeight,
      double floor) {
    this.kernels = kernels;
    this.model = model;
    this.targets = targets;
    this.awayWeight = awayWeight;
    this.towardWeight = towardWeight;
    this.floor = floor;
  }

  /** The away loss of the batch, before weighting. */
  double away() {
    return away;
  }

  /** The toward loss of the batch, before weighting. */
  double toward() {
    return toward;
  }

  @Override
  public double lossAndGradient(Batch batch, Tensor hidden, Tensor gradient) {
    long[] index =
        IntStream.range(0, batch.labels().length)
            .filter(i -> batch.labels()[i] >= 0)
            .asLongStream()
            .toArray();
    long[] labels = Arrays.stream(index).map(i -> batch.labels()[(int) i]).toArray();
    // Examples follow one another, so those with targets have the first rows.
    int first = (int) Arrays.stream(index).filter(i -> batch.exampleAt(i) < targets).count();
    int rest = index.length - first;
    try (var scope = Scope.open();
        var noGrad = NoGrad.on();
        var arena = Arena.ofConfined()) {
      var head = model.head().detach();
      var rows = Tensors.of(index, index.length);
      var selected = hidden.detach().reshape(-1, hidden.size(-1)).index_select(0, rows);
      var logits = mm(selected, head.t()).to(ScalarType.Float);
      var weights = arena.allocate(ValueLayout.JAVA_FLOAT, index.length);
      for (int i = 0; i < index.length; i++) {
        float weight = i < first ? 1 : (float) (towardWeight / rest);
        weights.setAtIndex(ValueLayout.JAVA_FLOAT, i, weight);
      }
      var ce = arena.allocate(ValueLayout.JAVA_FLOAT, index.length);
      kernels.crossEntropyKl(
          Tensors.matrix(logits),
          null,
          null,
          arena.allocateFrom(ValueLayout.JAVA_LONG, labels),
          weights,
          null,
          new RowLoss(KlDirection.FORWARD, 0, model.architecture().logitCap()),
          ce,
          null);
      var factors = new float[first];
      away = 0;
      toward = 0;
      for (int i = 0; i < index.length; i++) {
        double nats = ce.getAtIndex(ValueLayout.JAVA_FLOAT, i);
        if (i >= first) {
          toward += nats / rest;
        } else if (-nats >= floor) {
          double not = Math.max(-Math.expm1(-nats), CERTAIN);
          away -= Math.log(not) / first;
          factors[i] = (float) (-awayWeight / first * Math.exp(-nats) / not);
        }
      }
      if (first > 0) {
        logits.narrow(0, 0, first).mul_(Tensors.of(factors, first, 1));
      }
      var back = logits.to(head.scalar_type());
      gradient.index_copy_(0, rows, mm(back, head));
      if (model.head().requires_grad()) {
        FusedHead.accumulate(model.head(), back.t(), selected);
      }
      return awayWeight * away + towardWeight * toward;
    }
  }
}
