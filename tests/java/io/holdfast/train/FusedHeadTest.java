package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.Goldens;
import io.holdfast.kernels.DType;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Kernels.KlDirection;
import io.holdfast.kernels.RowLoss;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The fused head against LibTorch's own loss and autograd. */
class FusedHeadTest {
  private static final int WIDTH = 12;
  private static final int VOCABULARY = 37;

  private final TensorOwner owner = new TensorOwner();
  private final SplittableRandom random = new SplittableRandom(8);
  private Scope scope;

  @BeforeEach
  void open() {
    scope = Scope.open();
  }

  @AfterEach
  void close() {
    owner.close();
    scope.close();
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private static Kernels kernels(String name) {
    return KernelBackends.select(Optional.of(name));
  }

  private Tensor normal(long... shape) {
    int size = (int) Arrays.stream(shape).reduce(1, (a, b) -> a * b);
    var values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensors.of(values, shape);
  }

  /** Rows of a batch of {@code tokens} positions: some of them, in no order, the first with KL. */
  private LossRows rows(int tokens, int count, int withKl) {
    long[] index = LongStream.range(0, tokens).toArray();
    for (int i = tokens - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      long moved = index[i];
      index[i] = index[j];
      index[j] = moved;
    }
    var labels = random.longs(count, 0, VOCABULARY).toArray();
    var ce = new float[count];
    var kl = new float[count];
    for (int i = 0; i < count; i++) {
      ce[i] = (float) random.nextDouble() / count;
      kl[i] = i < withKl ? (float) random.nextDouble() / count : 0;
    }
    return new LossRows(Arrays.copyOf(index, count), labels, ce, kl, withKl);
  }

  private record Result(FusedHead.Loss loss, float[] hidden, float[] weight) {}

  private Result fused(
      Kernels kernels,
      RowLoss loss,
      Tensor hidden,
      Tensor weight,
      Tensor reference,
      Tensor referenceRows,
      LossRows rows) {
    var trained = weight.clone().requires_grad_(true);
    var gradient = Tensors.zeros(hidden.size(0) * hidden.size(1), WIDTH);
    var sums =
        new FusedHead(kernels, trained, reference, loss)
            .lossAndGradient(hidden, rows, referenceRows, gradient);
    return new Result(sums, Tensors.floats(gradient), Tensors.floats(trained.grad()));
  }

  /** The same by autograd over all logits at once. */
  private static Result autograd(
      RowLoss loss,
      Tensor hidden,
      Tensor weight,
      Tensor reference,
      Tensor referenceRows,
      LossRows rows) {
    var h = hidden.clone().requires_grad_(true);
    var w = weight.clone().requires_grad_(true);
    int n = rows.size();
    var selected = h.reshape(-1, WIDTH).index_select(0, Tensors.of(rows.index(), n));
    var logits = capped(torch.mm(selected, w.t()), loss.softCap());
    var ce =
        torch
            .cross_entropy_loss(
                logits,
                Tensors.of(rows.labels(), n),
                new TensorOptional(),
                0,
                -100,
                loss.labelSmoothing())
            .mul(Tensors.of(rows.ceWeight(), n));
    var total = ce.sum();
    double divergence = 0;
    if (rows.withKl() > 0) {
      var p = logits.narrow(0, 0, rows.withKl()).log_softmax(1);
      var q = capped(torch.mm(referenceRows, reference.t()), loss.softCap()).log_softmax(1);
      var each =
          loss.direction() == KlDirection.FORWARD
              ? q.exp().mul(q.sub(p)).sum(1)
              : p.exp().mul(p.sub(q)).sum(1);
      var weights = Arrays.copyOf(rows.klWeight(), rows.withKl());
      var kl = each.mul(Tensors.of(weights, weights.length)).sum();
      divergence = kl.item_double();
      total = total.add(kl, new Scalar(1));
    }
    total.backward();
    return new Result(
        new FusedHead.Loss(ce.sum().item_double(), divergence, 0, 0),
        Tensors.floats(h.grad()),
        Tensors.floats(w.grad()));
  }

  private static Tensor capped(Tensor logits, double cap) {
    return cap == 0 ? logits : logits.div(new Scalar(cap)).tanh().mul(new Scalar(cap));
  }

  @ParameterizedTest
  @CsvSource({
    "cpu, FORWARD, 9, 0, 0",
    "cpu, REVERSE, 9, 0, 0",
    "cpu, FORWARD, 0, 0, 0",
    "cpu, REVERSE, 20, 0, 0",
    "cpu, FORWARD, 0, 0.1, 0",
    "cpu, FORWARD, 9, 0, 3",
    "cpu, REVERSE, 9, 0.2, 2.5",
    "reference, FORWARD, 9, 0, 0",
    "reference, REVERSE, 9, 0.2, 2.5"
  })
  void equalsAutograd(
      String backEnd, KlDirection direction, int withKl, double smoothing, double cap) {
    var loss = new RowLoss(direction, smoothing, cap);
    var hidden = normal(4, 10, WIDTH);
    var weight = normal(VOCABULARY, WIDTH);
    var reference = normal(VOCABULARY, WIDTH);
    var referenceRows = withKl == 0 ? null : normal(withKl, WIDTH);
    var rows = rows(40, 20, withKl);
    var expected = autograd(loss, hidden, weight, reference, referenceRows, rows);
    var actual = fused(kernels(backEnd), loss, hidden, weight, reference, referenceRows, rows);
    assertEquals(expected.loss().crossEntropy(), actual.loss().crossEntropy(), 1e-5);
    assertEquals(expected.loss().divergence(), actual.loss().divergence(), 1e-5);
    Goldens.assertCloseRelative("hidden", expected.hidden(), actual.hidden(), 1e-5);
    Goldens.assertCloseRelative("weight", expected.weight(), actual.weight(), 1e-5);
  }

  @Test
  void manyChunksEqualOne() {
    // A vocabulary this wide leaves 1,024 rows to a chunk: 3 chunks with KL and 2 without.
    int vocabulary = 17_000;
    int n = 4000;
    int withKl = 2500;
    var hidden = normal(5, 1000, 2);
    var weight = normal(vocabulary, 2).mul(new Scalar(0.5));
    var reference = normal(vocabulary, 2).mul(new Scalar(0.5));
    var referenceRows = normal(withKl, 2);
    var rows = rows(5000, n, withKl);
    var trained = weight.clone().requires_grad_(true);
    var whole = Tensors.zeros(5000, 2);
    var kernels = kernels("cpu");
    var head = new FusedHead(kernels, trained, reference, new RowLoss(KlDirection.FORWARD));
    var loss = head.lossAndGradient(hidden, rows, referenceRows, whole);

    var alone = weight.clone().requires_grad_(true);
    var parts = Tensors.zeros(5000, 2);
    var sum = FusedHead.Loss.ZERO;
    var small = new FusedHead(kernels, alone, reference, new RowLoss(KlDirection.FORWARD));
    for (int start = 0; start < n; start += 500) {
      int end = start + 500;
      boolean kl = start < withKl;
      var part =
          new LossRows(
              Arrays.copyOfRange(rows.index(), start, end),
              Arrays.copyOfRange(rows.labels(), start, end),
              Arrays.copyOfRange(rows.ceWeight(), start, end),
              Arrays.copyOfRange(rows.klWeight(), start, end),
              kl ? 500 : 0);
      sum =
          sum.plus(
              small.lossAndGradient(
                  hidden, part, kl ? referenceRows.narrow(0, start, 500) : null, parts));
    }
    assertEquals(1, loss.crossEntropy() / sum.crossEntropy(), 1e-6);
    assertEquals(1, loss.divergence() / sum.divergence(), 1e-6);
    assertEquals(1, loss.plainCrossEntropy() / sum.plainCrossEntropy(), 1e-6);
    assertEquals(1, loss.plainDivergence() / sum.plainDivergence(), 1e-6);
    Goldens.assertCloseRelative("hidden", Tensors.floats(parts), Tensors.floats(whole), 1e-5);
    Goldens.assertCloseRelative(
        "weight", Tensors.floats(alone.grad()), Tensors.floats(trained.grad()), 1e-5);
  }

  @Test
  void positionsWithoutALabelGetNoGradient() {
    var rows = rows(30, 7, 0);
    var result =
        fused(
            kernels("cpu"),
            new RowLoss(KlDirection.FORWARD),
            normal(3, 10, WIDTH),
            normal(VOCABULARY, WIDTH),
            null,
            null,
            rows);
    for (int at = 0; at < 30; at++) {
      long position = at;
      boolean labelled = Arrays.stream(rows.index()).anyMatch(i -> i == position);
      boolean touched = false;
      for (int j = 0; j < WIDTH; j++) {
        touched |= result.hidden()[at * WIDTH + j] != 0;
      }
      assertEquals(labelled, touched, "position " + at);
    }
  }

  @Test
  void aFrozenHeadKeepsNoGradient() {
    var weight = normal(VOCABULARY, WIDTH);
    var gradient = Tensors.zeros(30, WIDTH);
    new FusedHead(kernels("cpu"), weight, null, new RowLoss(KlDirection.FORWARD))
        .lossAndGradient(normal(3, 10, WIDTH), rows(30, 7, 0), null, gradient);
    assertFalse(weight.grad().defined());
    assertTrue(gradient.norm().item_double() > 0);
  }

  /** In bfloat16 the same numbers but for one rounding of the logits and one of their gradient. */
  @Test
  void bfloat16LogitsAreRoundedOnce() {
    var loss = new RowLoss(KlDirection.FORWARD, 0.1, 4);
    var hidden = rounded(normal(4, 10, WIDTH));
    var weight = rounded(normal(VOCABULARY, WIDTH));
    var reference = rounded(normal(VOCABULARY, WIDTH));
    var referenceRows = rounded(normal(9, WIDTH));
    var rows = rows(40, 20, 9);
    var expected = autograd(loss, hidden, weight, reference, referenceRows, rows);
    var narrow = Tensors.copy(weight, DType.BFLOAT16).requires_grad_(true);
    var gradient = Tensors.zeros(40, WIDTH).to(ScalarType.BFloat16);
    var sums =
        new FusedHead(kernels("cpu"), narrow, Tensors.copy(reference, DType.BFLOAT16), loss)
            .lossAndGradient(
                Tensors.copy(hidden, DType.BFLOAT16),
                rows,
                Tensors.copy(referenceRows, DType.BFLOAT16),
                gradient);
    assertEquals(1, sums.crossEntropy() / expected.loss().crossEntropy(), 1e-2);
    assertEquals(1, sums.divergence() / expected.loss().divergence(), 2e-2);
    Goldens.assertCloseRelative("hidden", expected.hidden(), Tensors.floats(gradient), 2e-2);
    Goldens.assertCloseRelative("weight", expected.weight(), Tensors.floats(narrow.grad()), 2e-2);
  }

  private static Tensor rounded(Tensor x) {
    return x.to(ScalarType.BFloat16).to(ScalarType.Float);
  }
}
