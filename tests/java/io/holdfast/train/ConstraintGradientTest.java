package io.holdfast.train;

import static org.bytedeco.pytorch.global.torch.mm;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.Goldens;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels.KlDirection;
import io.holdfast.kernels.RowLoss;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The risk-weighted objective with the constraint of single tokens, written down in float64:
 * autograd's gradient of it against the head's closed form in float32, and against central
 * differences.
 */
class ConstraintGradientTest {
  private static final int ROWS = 11;
  private static final int WITH_KL = 6;
  private static final int WIDTH = 7;
  private static final int VOCABULARY = 23;

  private final TensorOwner owner = new TensorOwner();
  private final SplittableRandom random = new SplittableRandom(5);
  private Scope scope;
  private Tensor hidden;
  private Tensor head;
  private Tensor reference;
  private Tensor referenceHead;
  private LossRows rows;
  private double[] betas;
  private double[] before;

  @BeforeEach
  void open() {
    scope = Scope.open();
    hidden = normal(1, ROWS, WIDTH);
    head = normal(VOCABULARY, WIDTH);
    reference = normal(WITH_KL, WIDTH);
    referenceHead = normal(VOCABULARY, WIDTH);
    var ce = new float[ROWS];
    var kl = new float[ROWS];
    for (int i = 0; i < ROWS; i++) {
      // alpha = 1 - beta, both over one count of tokens.
      float beta = i < WITH_KL ? (float) random.nextDouble() : 0;
      ce[i] = (1 - beta) / ROWS;
      kl[i] = beta / ROWS;
    }
    rows =
        new LossRows(
            LongStream.range(0, ROWS).toArray(),
            random.longs(ROWS, 0, VOCABULARY).toArray(),
            ce,
            kl,
            WITH_KL);
    betas = random.doubles(ROWS, 0.1, 2).toArray();
    before = random.doubles(ROWS, -5, -0.5).toArray();
  }

  @AfterEach
  void close() {
    owner.close();
    scope.close();
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private Tensor normal(long... shape) {
    int size = (int) LongStream.of(shape).reduce(1, (a, b) -> a * b);
    var values = new double[size];
    Arrays.setAll(values, i -> random.nextGaussian());
    return owner.own(Tensors.of(values, shape));
  }

  /** In float64: the sum of the weighted terms, each as its paper writes it. */
  private Tensor objective(KlDirection direction, Tensor h, Tensor w) {
    var p = mm(h.view(ROWS, WIDTH), w.t()).log_softmax(1);
    var labels = Tensors.of(rows.labels(), ROWS, 1);
    var own = p.gather(1, labels).squeeze(1);
    var beta = Tensors.of(betas, ROWS);
    var held =
        beta.mul(own.sub(Tensors.of(before, ROWS)))
            .sigmoid()
            .log()
            .mul(beta.reciprocal())
            .mul(new Scalar(-2));
    var total = held.mul(doubles(rows.ceWeight())).sum();
    var q = mm(reference, referenceHead.t()).log_softmax(1);
    var first = p.narrow(0, 0, WITH_KL);
    var each =
        direction == KlDirection.FORWARD
            ? q.exp().mul(q.sub(first)).sum(1)
            : first.exp().mul(first.sub(q)).sum(1);
    var weights = doubles(Arrays.copyOf(rows.klWeight(), WITH_KL));
    return total.add(each.mul(weights).sum(), new Scalar(1));
  }

  private static Tensor doubles(float[] values) {
    return Tensors.of(values, values.length).to(ScalarType.Double);
  }

  private double factor(int row, double logProbability) {
    return 2 / (1 + Math.exp(betas[row] * (logProbability - before[row])));
  }

  @ParameterizedTest
  @EnumSource(KlDirection.class)
  void theHeadWritesTheGradientOfTheObjective(KlDirection direction) {
    var h = owner.own(hidden.clone().requires_grad_(true));
    var w = owner.own(head.clone().requires_grad_(true));
    objective(direction, h, w).backward();

    var trained = owner.own(head.to(ScalarType.Float).clone().requires_grad_(true));
    var gradient = Tensors.zeros(ROWS, WIDTH);
    var kernels = KernelBackends.select(Optional.of("cpu"));
    var loss =
        new FusedHead(kernels, trained, referenceHead.to(ScalarType.Float), new RowLoss(direction))
            .lossAndGradient(
                hidden.to(ScalarType.Float),
                rows,
                reference.to(ScalarType.Float),
                gradient,
                this::factor);
    Goldens.assertCloseRelative("hidden", floats(h.grad()), Tensors.floats(gradient), 1e-5);
    Goldens.assertCloseRelative("head", floats(w.grad()), Tensors.floats(trained.grad()), 1e-5);
    double weighted = 0;
    try (var noGrad = NoGrad.on()) {
      var p = mm(hidden.view(ROWS, WIDTH), head.t()).log_softmax(1);
      double[] own = Tensors.doubles(p.gather(1, Tensors.of(rows.labels(), ROWS, 1)).squeeze(1));
      for (int i = 0; i < ROWS; i++) {
        weighted -= rows.ceWeight()[i] * factor(i, own[i]) * own[i];
      }
    }
    assertEquals(weighted, loss.crossEntropy(), 1e-5 * weighted);
  }

  private static float[] floats(Tensor tensor) {
    return Tensors.floats(tensor);
  }

  @ParameterizedTest
  @EnumSource(KlDirection.class)
  void autogradAgreesWithCentralDifferences(KlDirection direction) {
    var h = owner.own(hidden.clone().requires_grad_(true));
    objective(direction, h, head).backward();
    var along = normal(1, ROWS, WIDTH);
    double expected = h.grad().mul(along).sum().item_double();
    double step = 1e-5;
    try (var noGrad = NoGrad.on()) {
      double above = objective(direction, hidden.add(along, new Scalar(step)), head).item_double();
      double below = objective(direction, hidden.add(along, new Scalar(-step)), head).item_double();
      assertEquals(expected, (above - below) / (2 * step), 1e-7 * Math.abs(expected));
    }
  }

  /** Factors of one are no factors. */
  @Test
  void withoutFactorsTheHeadIsAsItWas() {
    var plain = Tensors.zeros(ROWS, WIDTH);
    var weighed = Tensors.zeros(ROWS, WIDTH);
    var kernels = KernelBackends.select(Optional.of("cpu"));
    var fused =
        new FusedHead(
            kernels,
            head.to(ScalarType.Float),
            referenceHead.to(ScalarType.Float),
            new RowLoss(KlDirection.FORWARD));
    var h = hidden.to(ScalarType.Float);
    var q = reference.to(ScalarType.Float);
    fused.lossAndGradient(h, rows, q, plain);
    fused.lossAndGradient(h, rows, q, weighed, (_, _) -> 1);
    assertTrue(plain.equal(weighed));
  }
}
