package io.holdfast.guard.baseline;

import io.holdfast.data.Batch;
import io.holdfast.guard.Guard;
import io.holdfast.guard.Tuning;
import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;

/**
 * Vaccine (Huang et al. 2024, "Vaccine: Perturbation-aware Alignment", eq. 4 and algorithm 1): a
 * run on alignment rows in two passes a micro-batch. The first finds the gradients g of the loss at
 * the attention outputs of all layers, the second learns with {@code rho g / ||g||} added to them,
 * the norm taken over all layers together. Reimplementation from public description.
 */
public final class Vaccine implements Guard {
  private final double rho;
  private Tuning tuning;

  /** With a perturbation of this length. */
  public Vaccine(double rho) {
    this.rho = rho;
  }

  @Override
  public String name() {
    return "Vaccine, rho = " + rho;
  }

  @Override
  public void begin(Tuning run) {
    tuning = run;
  }

  @Override
  public List<Tap> taps(Batch batch, long share) {
    var weights = tuning.parameters();
    var before = Gradients.take(weights);
    var perturbation = new LinkedHashMap<Site, Tensor>();
    try (var states = new HiddenStates(site -> site.kind() == Site.Kind.ATTENTION_OUTPUT, true)) {
      tuning.backward(batch.examples(), List.of(states));
      states
          .all()
          .forEach(
              (site, state) -> {
                if (state.grad().defined()) {
                  perturbation.put(site, state.grad().clone());
                }
              });
    }
    Gradients.put(weights, before);
    double norm = Gradients.norm(perturbation.values());
    perturbation.values().forEach(p -> p.mul_(new Scalar(rho / (norm + 1e-12))));
    return List.of(new Perturbed(perturbation));
  }

  private record Perturbed(Map<Site, Tensor> by) implements Tap {
    @Override
    public boolean wants(Site site) {
      return by.containsKey(site);
    }

    @Override
    public Tensor at(Site site, Tensor hidden) {
      return hidden.add(by.get(site));
    }
  }
}
