package io.holdfast.guard.baseline;

import io.holdfast.data.Batch;
import io.holdfast.guard.Guard;
import io.holdfast.guard.Tuning;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Site;
import io.holdfast.model.Tokens;
import io.holdfast.torch.Tensors;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;

/**
 * Representation noising (Rosati et al. 2024, "Representation Noising: A Defence Mechanism Against
 * Harmful Finetuning", eq. 3): a run on harmless rows that adds
 *
 * <pre>
 * beta mean_l MMD^2(MLP outputs of layer l on harmful rows, N(0, I)) - alpha log(1 + mean_l CE_l)
 * </pre>
 *
 * with CE_l the cross entropy of the harmful answers read from the output of block l by the final
 * norm and the head, MMD with five Gaussian kernels of doubling width around the mean squared
 * distance, both at the tokens that predict the answers. Reimplementation from public description.
 */
public final class RepNoise implements Guard {
  private static final int KERNELS = 5;
  private static final double WIDENING = 2;

  private final OwnRows harmful;
  private final int batch;
  private final double alpha;
  private final double beta;
  private final Function<Tensor, Tensor> noise;
  private Tuning tuning;
  private double distance;
  private double crossEntropy;

  /**
   * A noising.
   *
   * @param harmful requests with harmful answers
   * @param batch how many of them a step
   * @param alpha weight of the ascent on harmful answers
   * @param beta weight of the distance from noise
   */
  public RepNoise(OwnRows harmful, int batch, double alpha, double beta) {
    this(harmful, batch, alpha, beta, like -> torch.randn_like(like));
  }

  /** With a source of noise in the shape of what it is given. */
  RepNoise(OwnRows harmful, int batch, double alpha, double beta, Function<Tensor, Tensor> noise) {
    this.harmful = harmful;
    this.batch = batch;
    this.alpha = alpha;
    this.beta = beta;
    this.noise = noise;
  }

  @Override
  public String name() {
    return "RepNoise, alpha = %s, beta = %s".formatted(alpha, beta);
  }

  @Override
  public void begin(Tuning run) {
    tuning = run;
  }

  @Override
  public void beforeUpdate() {
    var rows = tuning.batch(harmful.draw(tuning.steps(), 0, batch));
    try (var states = new HiddenStates(this::wants, false)) {
      tuning.model().forward(Tokens.of(rows), AdapterMode.TRAIN, List.of(states));
      var at = Positions.labelled(rows);
      var mmd = Tensors.zeros(1).sum();
      var entropies = Tensors.zeros(1).sum();
      for (var state : states.all().entrySet()) {
        var flat = state.getValue().reshape(-1, state.getValue().size(-1)).index_select(0, at);
        if (state.getKey().kind() == Site.Kind.MLP_OUTPUT) {
          mmd = mmd.add(mmd(flat, noise.apply(flat)));
        } else {
          entropies = entropies.add(entropy(rows, flat));
        }
      }
      double depth = tuning.model().architecture().depth();
      mmd = mmd.div(new Scalar(depth));
      entropies = entropies.div(new Scalar(depth));
      mmd.mul(new Scalar(beta)).sub(entropies.log1p(), new Scalar(alpha)).backward();
      distance = mmd.item_double();
      crossEntropy = entropies.item_double();
    }
  }

  private boolean wants(Site site) {
    return site.kind() == Site.Kind.MLP_OUTPUT
        || site.kind() == Site.Kind.BLOCK_INPUT && site.layer() > 0;
  }

  private Tensor entropy(Batch rows, Tensor states) {
    var model = tuning.model();
    return torch.cross_entropy_loss(model.logits(model.normed(states)), Positions.labels(rows));
  }

  /** The squared maximum mean discrepancy of two samples {@code [n, d]}, biased. */
  static Tensor mmd(Tensor x, Tensor y) {
    long n = x.size(0) + y.size(0);
    var all = torch.cat(new TensorVector(x, y), 0);
    var lengths = all.square().sum(1);
    var squared =
        lengths
            .unsqueeze(0)
            .add(lengths.unsqueeze(1))
            .sub(all.mm(all.t()), new Scalar(2))
            .clamp_min(new Scalar(0));
    double width =
        squared.sum().item_double() / ((double) n * n - n) / Math.pow(WIDENING, KERNELS / 2);
    var kernel = torch.zeros_like(squared);
    for (int i = 0; i < KERNELS; i++) {
      kernel = kernel.add(squared.div(new Scalar(-width * Math.pow(WIDENING, i))).exp());
    }
    long half = x.size(0);
    var xx = kernel.narrow(0, 0, half).narrow(1, 0, half);
    var yy = kernel.narrow(0, half, half).narrow(1, half, half);
    var xy = kernel.narrow(0, 0, half).narrow(1, half, half);
    var yx = kernel.narrow(0, half, half).narrow(1, 0, half);
    return xx.add(yy).sub(xy).sub(yx).mean();
  }

  @Override
  public Map<String, Double> metrics() {
    return Map.of("noise_distance", distance, "harmful_cross_entropy", crossEntropy);
  }
}
