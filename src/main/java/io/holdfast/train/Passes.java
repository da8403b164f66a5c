package io.holdfast.train;

import io.holdfast.data.Batch;
import io.holdfast.guard.HeadLoss;
import io.holdfast.guard.TokenWeights;
import io.holdfast.model.Decoder;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.model.TrainingPass;
import java.util.List;
import java.util.function.Supplier;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/**
 * Passes through the model and back, whose gradients stay at the parameters.
 *
 * @param reference the start of the run, or null where nothing looks at it
 * @param recomputed whether activations are computed once more on the way back
 */
record Passes(Decoder model, FusedHead head, ReferenceStates reference, boolean recomputed) {
  /**
   * A pass and the way back.
   *
   * @param labelled what the head computes; asked for after the pass
   * @param tokenWeights multiply the cross entropies of tokens
   */
  FusedHead.Loss backward(
      Batch batch, List<Tap> taps, Supplier<LossRows> labelled, List<TokenWeights> tokenWeights) {
    try (var pass = pass(batch, taps)) {
      var hidden = pass.hidden();
      var gradient = zeros(hidden);
      var rows = labelled.get();
      var referenceRows = rows.withKl() == 0 ? null : reference.hiddenAt(batch, rows);
      var loss =
          head.lossAndGradient(
              hidden, rows, referenceRows, gradient, factors(batch, rows, tokenWeights));
      pass.backward(gradient);
      return loss;
    }
  }

  /** The same for another loss of the states that the head reads; its value. */
  double backward(Batch batch, HeadLoss loss) {
    try (var pass = pass(batch, Tap.NONE)) {
      var gradient = zeros(pass.hidden());
      double value = loss.lossAndGradient(batch, pass.hidden(), gradient);
      pass.backward(gradient);
      return value;
    }
  }

  private TrainingPass pass(Batch batch, List<Tap> taps) {
    return recomputed
        ? TrainingPass.recomputed(model, Tokens.of(batch), taps)
        : TrainingPass.kept(model, Tokens.of(batch), taps);
  }

  private static Tensor zeros(Tensor hidden) {
    return torch.zeros_like(hidden).view(-1, hidden.size(-1));
  }

  /** The product of the tokens' weights; null where there are none. */
  private static FusedHead.RowFactors factors(
      Batch batch, LossRows rows, List<TokenWeights> tokenWeights) {
    if (tokenWeights.isEmpty()) {
      return null;
    }
    return (row, logProbability) -> {
      int number = batch.exampleAt(rows.index()[row]);
      int token = (int) (rows.index()[row] - batch.starts()[number]) + 1;
      double factor = 1;
      for (var weights : tokenWeights) {
        factor *= weights.of(batch.examples().get(number), token, logProbability);
      }
      return factor;
    };
  }
}
