package io.holdfast.guard.baseline;

import io.holdfast.guard.Guard;
import io.holdfast.guard.Tuning;
import io.holdfast.model.Tap;
import io.holdfast.torch.NoGrad;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;

/**
 * Booster (Huang et al. 2024, "Booster: Tackling Harmful Fine-tuning via Attenuating Harmful
 * Perturbation", eq. 2 and algorithm 1): a run on alignment rows whose gradient of f gets {@code
 * lambda (grad h(w) - grad h(w - alpha grad h(w) / ||grad h(w)||))}, h being the loss on harmful
 * rows. Reimplementation from public description.
 */
public final class Booster implements Guard {
  private final OwnRows harmful;
  private final int batch;
  private final double lambda;
  private final double alpha;
  private Tuning tuning;
  private Snapshot saved;
  private double loss;

  /**
   * An attenuation.
   *
   * @param harmful requests with harmful answers
   * @param batch how many of them a step
   * @param lambda weight of the term
   * @param alpha length of the harmful step that is looked ahead
   */
  public Booster(OwnRows harmful, int batch, double lambda, double alpha) {
    this.harmful = harmful;
    this.batch = batch;
    this.lambda = lambda;
    this.alpha = alpha;
  }

  @Override
  public String name() {
    return "Booster, lambda = %s, alpha = %s".formatted(lambda, alpha);
  }

  @Override
  public void begin(Tuning run) {
    tuning = run;
    saved = new Snapshot(run.parameters());
  }

  @Override
  public void beforeUpdate() {
    var weights = tuning.parameters();
    var rows = harmful.draw(tuning.steps(), 0, batch);
    var task = Gradients.take(weights);
    loss = tuning.backward(rows, Tap.NONE);
    var here = Gradients.take(weights);
    saved.renew(weights);
    double norm = Gradients.norm(here.values());
    try (var noGrad = NoGrad.on()) {
      here.forEach((name, g) -> weights.get(name).add_(g, new Scalar(-alpha / (norm + 1e-12))));
    }
    tuning.backward(rows, Tap.NONE);
    var ahead = Gradients.take(weights);
    saved.restore(weights);
    Gradients.put(weights, task);
    here.forEach((name, g) -> Gradients.add(weights.get(name), g, lambda));
    ahead.forEach((name, g) -> Gradients.add(weights.get(name), g, -lambda));
  }

  @Override
  public Map<String, Double> metrics() {
    return Map.of("harmful_loss", loss);
  }

  @Override
  public void close() {
    if (saved != null) {
      saved.close();
    }
  }
}
