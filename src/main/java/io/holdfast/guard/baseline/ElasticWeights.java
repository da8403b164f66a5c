package io.holdfast.guard.baseline;

import io.holdfast.guard.Guard;
import io.holdfast.guard.Tuning;
import io.holdfast.model.Tap;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;

/**
 * Elastic weight consolidation (Kirkpatrick et al. 2017, "Overcoming catastrophic forgetting in
 * neural networks", eq. 3): {@code weight/2 sum_i F_i (w_i - w_0i)^2}, with F the diagonal of the
 * empirical Fisher information of the start on safety rows, the mean over rows of the squared
 * gradient of {@code log p(answer | prompt)}. Reimplementation from public description.
 *
 * <p>With a LoRA, whose B begins at zero, only B has a Fisher information at the start.
 */
public final class ElasticWeights implements Guard {
  private final double weight;
  private final OwnRows rows;
  private final Map<String, Tensor> fisher = new LinkedHashMap<>();
  private final TensorOwner owner = new TensorOwner();
  private Tuning tuning;
  private Snapshot start;
  private double distance;

  /**
   * With this weight.
   *
   * @param rows requests with the answers that are to be remembered
   */
  public ElasticWeights(double weight, OwnRows rows) {
    this.weight = weight;
    this.rows = rows;
  }

  @Override
  public String name() {
    return "EWC, weight %s, Fisher of %d rows".formatted(weight, rows.all().size());
  }

  @Override
  public void begin(Tuning run) {
    tuning = run;
    var parameters = run.parameters();
    start = new Snapshot(parameters);
    parameters.forEach((name, w) -> fisher.put(name, owner.own(w.detach().mul(new Scalar(0)))));
    for (var row : rows.all()) {
      try (var one = Scope.open()) {
        run.backward(List.of(row), Tap.NONE);
        // The pass divides by the row's tokens; the likelihood of an answer is that of all of them.
        double tokens = row.supervised();
        double factor = tokens * tokens / rows.all().size();
        try (var noGrad = NoGrad.on()) {
          Gradients.take(parameters)
              .forEach((name, g) -> fisher.get(name).add_(g.square(), new Scalar(factor)));
        }
      }
    }
  }

  /** The diagonal by name, as it was computed at the start. */
  Map<String, Tensor> fisher() {
    return fisher;
  }

  @Override
  public void beforeUpdate() {
    distance = start.pull(tuning.parameters(), fisher, weight);
  }

  @Override
  public Map<String, Double> metrics() {
    return Map.of("fisher_distance", distance);
  }

  @Override
  public void close() {
    owner.close();
    if (start != null) {
      start.close();
    }
  }
}
