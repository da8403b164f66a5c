package io.holdfast.guard.baseline;

import io.holdfast.guard.Guard;
import io.holdfast.guard.Tuning;
import java.util.Map;

/**
 * L2 to the start (L2-SP; Li, Grandvalet and Davoine 2018, "Explicit Inductive Bias for Transfer
 * Learning with Convolutional Networks", eq. 2): {@code weight/2 ||w - w_0||^2} over what is
 * trained. Reimplementation from public description.
 */
public final class PullToStart implements Guard {
  private final double weight;
  private Tuning tuning;
  private Snapshot start;
  private double distance;

  /** With this weight. */
  public PullToStart(double weight) {
    this.weight = weight;
  }

  @Override
  public String name() {
    return "L2 to the start, weight " + weight;
  }

  @Override
  public void begin(Tuning run) {
    tuning = run;
    start = new Snapshot(run.parameters());
  }

  @Override
  public void beforeUpdate() {
    distance = start.pull(tuning.parameters(), null, weight);
  }

  @Override
  public Map<String, Double> metrics() {
    return Map.of("squared_distance", distance);
  }

  @Override
  public void close() {
    if (start != null) {
      start.close();
    }
  }
}
