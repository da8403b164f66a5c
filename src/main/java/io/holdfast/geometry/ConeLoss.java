package io.holdfast.geometry;

import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.LengthBatches;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.function.IntToDoubleFunction;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * How well a direction u of length 1 does what a refusal direction does (refusal direction
 * optimization, Wollschläger et al. 2025):
 *
 * <pre>
 * ablation  mean cross entropy of the answers to harmful prompts, with u ablated everywhere
 * addition  mean cross entropy of the refusals of benign prompts, with |r| u added at r's slot
 * retain    KL(ablated || unedited) on answered benign prompts, summed from the end of the prompt on
 * </pre>
 *
 * each a mean over rows, where r is the mean difference and all tokens are edited.
 */
final class ConeLoss {
  private static final LengthBatches BATCHES = new LengthBatches(16, 4096);

  private final Decoder model;
  private final int slot;
  private final double length;
  private final Weights weights;

  /** What the terms count. */
  record Weights(double ablation, double addition, double retain) {
    /** The authors'. */
    static final Weights PAPER = new Weights(1, 0.2, 1);
  }

  /** Each term before weighting. */
  record Terms(double ablation, double addition, double retain) {
    /** Some of these and some of others. */
    Terms plus(double factor, Terms other) {
      return new Terms(
          ablation + factor * other.ablation,
          addition + factor * other.addition,
          retain + factor * other.retain);
    }

    /** Their weighted sum. */
    double total(Weights weights) {
      return weights.ablation * ablation + weights.addition * addition + weights.retain * retain;
    }
  }

  /**
   * The loss of directions in one model.
   *
   * @param slot of the residual stream where directions are added
   * @param length with which they are
   */
  ConeLoss(Decoder model, int slot, double length, Weights weights) {
    this.model = model;
    this.slot = slot;
    this.length = length;
    this.weights = weights;
  }

  /**
   * The loss of the direction {@code unit(c B)}, with {@code share} times its gradient added to
   * that of the basis.
   *
   * @param basis B, {@code [k, d]}, a leaf that takes gradients
   * @param coefficients c, {@code [k]}
   */
  Terms addGradient(Tensor basis, double[] coefficients, List<ConeRow> rows, double share) {
    int depth = model.architecture().depth();
    Supplier<Tensor> unit = () -> unit(basis, coefficients);
    Supplier<Tap> without =
        () -> Intervention.everywhere(new Edit.Removal(unit.get()), depth, Reach.ALL);
    Supplier<Tap> with =
        () ->
            Intervention.adding(
                new Edit.Addition(unit.get().mul(new Scalar(length))), slot, Reach.ALL);
    double each = share / rows.size();
    return new Terms(
        mean(
            rows.stream().map(ConeRow::ablated).toList(),
            batch -> crossEntropy(batch, without, each * weights.ablation)),
        mean(
            rows.stream().map(ConeRow::added).toList(),
            batch -> crossEntropy(batch, with, each * weights.addition)),
        mean(
            rows.stream().map(ConeRow::retained).toList(),
            batch -> divergence(batch, without, each * weights.retain)));
  }

  /** A direction inside the cone, made anew for each pass because a pass frees what led to it. */
  private static Tensor unit(Tensor basis, double[] coefficients) {
    var c = Tensors.of(coefficients, 1, coefficients.length).to(ScalarType.Float);
    var inside = c.matmul(basis);
    return inside.div(inside.square().sum().sqrt());
  }

  /** Works through examples in batches of like length; the mean of what each is given. */
  private double mean(List<Example> examples, Function<List<Example>, List<Double>> work) {
    double[] sum = {0};
    BATCHES
        .forModel(model.architecture())
        .run(examples.iterator(), Example::length, work, (_, loss) -> sum[0] += loss);
    return sum[0] / examples.size();
  }

  private List<Double> crossEntropy(List<Example> batch, Supplier<Tap> tap, double share) {
    try (var scope = Scope.open()) {
      var rows = Rows.learnt(batch);
      var logits = logits(rows, List.of(tap.get()));
      var chosen = logits.log_softmax(1).gather(1, rows.labels()).neg();
      return rows.backward(chosen, example -> 1.0 / batch.get(example).supervised(), share);
    }
  }

  private List<Double> divergence(List<Example> batch, Supplier<Tap> tap, double share) {
    try (var scope = Scope.open()) {
      var rows = Rows.retained(batch);
      var usual = unedited(rows);
      var edited = logits(rows, List.of(tap.get())).to(ScalarType.Double).log_softmax(1);
      var divergence = edited.exp().mul(edited.sub(usual)).sum(1);
      return rows.backward(divergence, _ -> 1, share);
    }
  }

  private Tensor unedited(Rows rows) {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      return scope.keep(logits(rows, Tap.NONE).to(ScalarType.Double).log_softmax(1));
    }
  }

  /** Logits where answers are predicted; the head sees nothing else. */
  private Tensor logits(Rows rows, List<Tap> taps) {
    var hidden = model.forward(rows.tokens(), AdapterMode.ON, taps);
    var flat = hidden.reshape(-1, hidden.size(-1));
    return model.logits(flat.index_select(0, Tensors.of(rows.index(), rows.index().length)));
  }

  /**
   * Examples side by side.
   *
   * @param index positions that count, in {@code [batch * time]}
   * @param example whose they are
   * @param labels {@code [n, 1]}: what follows each; undefined where nothing does
   */
  private record Rows(Tokens tokens, long[] index, int[] example, Tensor labels) {
    /** The positions from which learnt tokens are predicted. */
    static Rows learnt(List<Example> examples) {
      var batch = Batch.of(examples, 0);
      return of(
          batch,
          IntStream.range(0, batch.labels().length).filter(i -> batch.labels()[i] >= 0).toArray());
    }

    /** The positions from the last one of the prompt to the end. */
    static Rows retained(List<Example> examples) {
      var batch = Batch.of(examples, 0);
      return of(
          batch,
          IntStream.range(0, examples.size())
              .flatMap(
                  i ->
                      IntStream.range(examples.get(i).promptEnd(), examples.get(i).length())
                          .map(t -> batch.starts()[i] + t))
              .toArray());
    }

    private static Rows of(Batch batch, int[] positions) {
      long[] labels = Arrays.stream(positions).mapToLong(i -> batch.labels()[i]).toArray();
      return new Rows(
          Tokens.of(batch),
          Arrays.stream(positions).asLongStream().toArray(),
          Arrays.stream(positions).map(batch::exampleAt).toArray(),
          Tensors.of(labels, labels.length, 1));
    }

    /**
     * Sends gradients of losses back.
     *
     * @param losses one for each position
     * @param weight of an example's positions
     * @param share of the sum whose gradient is wanted
     * @return each example's loss
     */
    List<Double> backward(Tensor losses, IntToDoubleFunction weight, double share) {
      var weights = new double[index.length];
      Arrays.setAll(weights, i -> weight.applyAsDouble(example[i]));
      var weighted =
          losses.reshape(-1).to(ScalarType.Double).mul(Tensors.of(weights, weights.length));
      weighted.sum().mul(new Scalar(share)).backward();
      double[] values = Tensors.doubles(weighted);
      var sums = new Double[Math.toIntExact(tokens.ids().size(0))];
      Arrays.fill(sums, 0.0);
      for (int i = 0; i < values.length; i++) {
        sums[example[i]] += values[i];
      }
      return List.of(sums);
    }
  }
}
