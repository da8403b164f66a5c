package io.holdfast.guard.baseline;

import io.holdfast.HoldfastException;
import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.guard.ExampleWeight;
import io.holdfast.guard.Guard;
import io.holdfast.guard.Tuning;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.Site;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/**
 * Circuit breakers (Zou et al. 2024, "Improving Alignment and Robustness with Circuit Breakers",
 * algorithm 1): a run without any cross entropy, on rows whose states are to stay,
 *
 * <pre>
 * L = c_s mean relu(cos(h, h_ref)) on harmful rows at some slots
 *   + c_r mean ||h - h_ref||_2 on the run's own rows at all slots
 * c_r = strength t / (2T),  c_s = strength (1 - t / (2T))
 * </pre>
 *
 * over all tokens, t the step and T the length of the schedule. Reimplementation from public
 * description.
 */
public final class CircuitBreakers implements Guard {
  private final OwnRows harmful;
  private final int batch;
  private final List<Integer> slots;
  private final double strength;
  private final int schedule;
  private final List<Batch> kept = new ArrayList<>();
  private Tuning tuning;
  private double rerouted;
  private double retained;

  /**
   * A rerouting.
   *
   * @param harmful requests with harmful answers
   * @param batch how many of them a step
   * @param slots of the residual stream at which harmful states are turned away
   * @param strength of both terms together
   * @param schedule T, in steps
   */
  public CircuitBreakers(
      OwnRows harmful, int batch, List<Integer> slots, double strength, int schedule) {
    this.harmful = harmful;
    this.batch = batch;
    this.slots = slots;
    this.strength = strength;
    this.schedule = schedule;
  }

  @Override
  public String name() {
    return "circuit breakers, slots %s, strength %s over %d steps"
        .formatted(slots, strength, schedule);
  }

  @Override
  public void begin(Tuning run) {
    tuning = run;
    int depth = run.model().architecture().depth();
    for (int slot : slots) {
      if (slot > depth) {
        throw HoldfastException.usage(
            "guard.baselines.circuit_breakers.layers: %d; the residual stream of this model has"
                + " slots 0 to %d",
            slot, depth);
      }
    }
  }

  @Override
  public ExampleWeight weigh(Example example, ExampleWeight weight) {
    return ExampleWeight.NONE;
  }

  @Override
  public List<Tap> taps(Batch rows, long share) {
    kept.add(rows);
    return Tap.NONE;
  }

  @Override
  public void beforeUpdate() {
    double progress = Math.min(1, tuning.steps() / (2.0 * schedule));
    rerouted =
        learn(
            tuning.batch(harmful.draw(tuning.steps(), 0, batch)),
            slots,
            strength * (1 - progress),
            (now, before) -> torch.cosine_similarity(now, before, -1, 1e-8).relu());
    retained = 0;
    int depth = tuning.model().architecture().depth();
    var everywhere = IntStream.rangeClosed(0, depth).boxed().toList();
    for (var rows : kept) {
      retained +=
          learn(
                  rows,
                  everywhere,
                  strength * progress / kept.size(),
                  (now, before) -> now.sub(before).norm(new ScalarOptional(new Scalar(2)), -1))
              / kept.size();
    }
    kept.clear();
  }

  /** Adds the gradient of {@code factor} times the mean over slots and tokens; returns the mean. */
  private double learn(
      Batch rows, List<Integer> at, double factor, BiFunction<Tensor, Tensor, Tensor> measure) {
    try (var pass = Scope.open();
        var now = states(tuning.model(), AdapterMode.TRAIN, rows, at);
        var before = reference(rows, at)) {
      var tokens = Positions.tokens(rows);
      var sum = Tensors.zeros(1);
      for (int slot : at) {
        sum =
            sum.add(
                measure
                    .apply(
                        flat(now.all().get(Site.residual(slot)), tokens),
                        flat(before.all().get(Site.residual(slot)), tokens))
                    .mean());
      }
      var loss = sum.sum().div(new Scalar(at.size()));
      if (loss.requires_grad()) {
        loss.mul(new Scalar(factor)).backward();
      }
      return loss.item_double();
    }
  }

  private HiddenStates reference(Batch rows, List<Integer> at) {
    try (var noGrad = NoGrad.on()) {
      return states(tuning.reference(), AdapterMode.ON, rows, at);
    }
  }

  private static HiddenStates states(
      Decoder model, AdapterMode mode, Batch rows, List<Integer> at) {
    var states =
        new HiddenStates(
            site -> site.kind() == Site.Kind.BLOCK_INPUT && at.contains(site.layer()), false);
    model.forward(Tokens.of(rows), mode, List.of(states));
    return states;
  }

  private static Tensor flat(Tensor states, Tensor tokens) {
    return states.reshape(-1, states.size(-1)).index_select(0, tokens);
  }

  @Override
  public Map<String, Double> metrics() {
    return Map.of("rerouted_cosine", rerouted, "retained_distance", retained);
  }
}
