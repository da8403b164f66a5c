package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.Goldens;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Kernels.KlDirection;
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
      KlDirection direction,
      Tensor hidden,
      Tensor weight,
      Tensor reference,
      Tensor referenceRows,
      LossRows rows) {
    var trained = weight.clone().requires_grad_(true);
    var gradient = Tensors.zeros(hidden.size(0) * hidden.size(1), WIDTH);
    var loss =
        new FusedHead(kernels, trained, reference, direction, 0)
            .lossAndGradient(hidden, rows, referenceRows, gradient);
    return new Result(loss, Tensors.floats(gradient), Tensors.floats(trained.grad()));
  }

  /** The same by autograd over all logits at once. */
  private static Result autograd(
      KlDirection direction,
      Tensor hidden,
      Tensor weight,
      Tensor reference,
      Tensor referenceRows,
      LossRows rows) {
    var h = hidden.clone().requires_grad_(true);
    var w = weight.clone().requires_grad_(true);
    int n = rows.size();
    var selected = h.reshape(-1, WIDTH).index_select(0, Tensors.of(rows.index(), n));
    var logits = torch.mm(selected, w.t());
    var ce =
        torch
            .cross_entropy_loss(
                logits, Tensors.of(rows.labels(), n), new TensorOptional(), 0, -100, 0.0)
            .mul(Tensors.of(rows.ceWeight(), n));
    var total = ce.sum();
    double divergence = 0;
    if (rows.withKl() > 0) {
      var p = logits.narrow(0, 0, rows.withKl()).log_softmax(1);
      var q = torch.mm(referenceRows, reference.t()).log_softmax(1);
      var each =
          direction == KlDirection.FORWARD
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

  @ParameterizedTest
  @CsvSource({
    "cpu, FORWARD, 9",
    "cpu, REVERSE, 9",
    "cpu, FORWARD, 0",
    "cpu, REVERSE, 20",
    "reference, FORWARD, 9",
    "reference, REVERSE, 9"
  })
  void equalsAutograd(String backEnd, KlDirection direction, int withKl) {
    var hidden = normal(4, 10, WIDTH);
    var weight = normal(VOCABULARY, WIDTH);
    var reference = normal(VOCABULARY, WIDTH);
    var referenceRows = withKl == 0 ? null : normal(withKl, WIDTH);
    var rows = rows(40, 20, withKl);
    var expected = autograd(direction, hidden, weight, reference, referenceRows, rows);
    var actual = fused(kernels(backEnd), direction, hidden, weight, reference, referenceRows, rows);
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
    var head = new FusedHead(kernels, trained, reference, KlDirection.FORWARD, 0);
    var loss = head.lossAndGradient(hidden, rows, referenceRows, whole);

    var alone = weight.clone().requires_grad_(true);
    var parts = Tensors.zeros(5000, 2);
    var sum = FusedHead.Loss.ZERO;
    var small = new FusedHead(kernels, alone, reference, KlDirection.FORWARD, 0);
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
            KlDirection.FORWARD,
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
    new FusedHead(kernels("cpu"), weight, null, KlDirection.FORWARD, 0)
        .lossAndGradient(normal(3, 10, WIDTH), rows(30, 7, 0), null, gradient);
    assertFalse(weight.grad().defined());
    assertTrue(gradient.norm().item_double() > 0);
  }
}
