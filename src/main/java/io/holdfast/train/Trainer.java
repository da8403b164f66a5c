package io.holdfast.train;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.data.Batch;
import io.holdfast.data.DataOrder;
import io.holdfast.data.Example;
import io.holdfast.guard.Anchor;
import io.holdfast.guard.ExampleWeight;
import io.holdfast.guard.Guard;
import io.holdfast.guard.HeadLoss;
import io.holdfast.guard.TokenWeights;
import io.holdfast.guard.Tuning;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.RowLoss;
import io.holdfast.model.Decoder;
import io.holdfast.model.Tap;
import io.holdfast.risk.RowRisks;
import io.holdfast.torch.Scope;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.Consumer;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/**
 * The training loop. Supports full fine-tuning and LoRA, accumulation with one token denominator
 * for the whole window, clipping, guards, anchors, and resuming at any step.
 */
public final class Trainer implements Tuning {
  /**
   * What a run does.
   *
   * @param steps optimizer steps of the whole run
   * @param clipNorm largest gradient norm, 0 for no clipping
   * @param anchorBatch anchors added to each micro-batch
   * @param padId fills short rows; it is never seen by a real token
   * @param seed of dropout and anchors
   * @param activationCheckpointing whether activations are computed once more on the way back
   * @param labelSmoothing share of a label's probability that is spread over the vocabulary
   */
  public record Plan(
      long steps,
      double clipNorm,
      int anchorBatch,
      int padId,
      long seed,
      boolean activationCheckpointing,
      double labelSmoothing) {
    /** A run that keeps its activations, and labels as they are. */
    public Plan(long steps, double clipNorm, int anchorBatch, int padId, long seed) {
      this(steps, clipNorm, anchorBatch, padId, seed, false, 0);
    }
  }

  private final Plan plan;
  private final Decoder model;
  private final Windows windows;
  private final Schedule schedule;
  private final Adamw optimizer;
  private final Passes passes;
  private final List<Guard> guards;
  private final List<TokenWeights> tokenWeights;
  private final RowRisks risks;
  private final ReferenceStates reference;
  private final List<Example> anchors;
  private final DataOrder anchorOrder;
  private long computed;

  /**
   * A run.
   *
   * @param optimizer over the trainable parameters
   * @param guards what holds the run back, in the order in which they are asked; the weights are
   *     still those of the run's start
   * @param risks gives rows the risk by which guards weigh them
   * @param reference the start of the run, or null where no guard looks at it
   * @param anchors safety prompts that the guards hold, may be empty
   */
  public Trainer(
      Plan plan,
      Decoder model,
      Windows windows,
      Schedule schedule,
      Adamw optimizer,
      List<Guard> guards,
      RowRisks risks,
      ReferenceStates reference,
      Kernels.KlDirection direction,
      List<Example> anchors,
      Kernels kernels) {
    this.plan = plan;
    this.model = model;
    this.windows = windows;
    this.schedule = schedule;
    this.optimizer = optimizer;
    this.guards = guards;
    this.tokenWeights = guards.stream().flatMap(guard -> guard.tokenWeights().stream()).toList();
    this.risks = risks;
    this.reference = reference;
    this.anchors = anchors;
    this.anchorOrder = new DataOrder(plan.seed() + 1, true, Math.max(1, anchors.size()));
    var head =
        new FusedHead(
            kernels,
            model.head(),
            reference == null ? null : reference.head(),
            new RowLoss(direction, plan.labelSmoothing(), model.architecture().logitCap()));
    this.passes = new Passes(model, head, reference, plan.activationCheckpointing());
    try (var scope = Scope.open()) {
      guards.forEach(guard -> guard.begin(this));
    }
  }

  @Override
  public long steps() {
    return optimizer.steps();
  }

  @Override
  public long plannedSteps() {
    return plan.steps();
  }

  /** Whether the run is complete. */
  public boolean done() {
    return steps() >= plan.steps();
  }

  /** What a checkpoint must know besides weights, moments and step. */
  ObjectNode state() {
    var state = JsonNodeFactory.instance.objectNode();
    if (!Double.isNaN(risks.average())) {
      state.put("risk_average", risks.average());
    }
    return state;
  }

  /** Goes on from a checkpoint's state. */
  void resume(ObjectNode state) {
    risks.resume(state.path("risk_average").asDouble(Double.NaN));
  }

  /**
   * One optimizer step.
   *
   * @throws HoldfastException if the loss or the gradient is not finite; the weights are then still
   *     those of the step before
   */
  public StepReport step() {
    long started = System.nanoTime();
    long step = steps();
    var batches = batches(step);
    long supervised = batches.stream().mapToLong(Batch::supervised).sum();
    long anchored = anchors.isEmpty() ? 0 : (long) batches.size() * plan.anchorBatch();
    long[] guarded =
        guards.stream()
            .mapToLong(guard -> batches.stream().mapToLong(guard::positions).sum())
            .toArray();
    guards.forEach(guard -> guard.window(batches));
    var loss = FusedHead.Loss.ZERO;
    int micro = 0;
    for (var batch : batches) {
      torch.manual_seed(mixed(plan.seed(), step, micro++));
      loss = loss.plus(backward(batch, supervised, anchored, guarded));
      if (batches.size() > 1 || !guards.isEmpty()) {
        optimizer.collect();
      }
    }
    ask(Guard::beforeUpdate);
    double rate = schedule.rate(step);
    double norm = optimizer.gradientNorm();
    if (!Double.isFinite(loss.total()) || !Double.isFinite(norm)) {
      optimizer.dropGradients();
      throw HoldfastException.diverged(
          "step %d: loss %s, gradient norm %s; the batch begins at %s. Lower the learning rate or"
              + " look at those rows; the weights are those of step %d.",
          step + 1, loss.total(), norm, batches.getFirst().examples().getFirst().place(), step);
    }
    update(rate, clipping(norm));
    long tokens = batches.stream().mapToLong(Batch::tokens).sum();
    return new StepReport(
        step + 1,
        loss.total(),
        norm,
        rate,
        tokens,
        supervised,
        (System.nanoTime() - started) / 1e9,
        terms(loss, supervised));
  }

  private void update(double rate, double gradientScale) {
    if (guards.isEmpty() && model.interventions().isEmpty()) {
      optimizer.step(rate, gradientScale);
      return;
    }
    optimizer.step(
        rate,
        gradientScale,
        () -> {
          ask(Guard::afterUpdate);
          model.settle();
          if (done()) {
            ask(Guard::finish);
          }
        });
  }

  private FusedHead.Loss backward(Batch batch, long supervised, long anchored, long[] guarded) {
    try (var step = Scope.open()) {
      var taps = taps(batch, guarded);
      var reading = risks.reading(batch);
      reading.ifPresent(taps::add);
      return passes.backward(
          batch,
          taps,
          () -> {
            var examples = reading.map(read -> risks.read(batch, read)).orElse(batch.examples());
            var weights = examples.stream().map(this::weigh).toList();
            return LossRows.of(batch, weights, supervised, anchored);
          },
          tokenWeights);
    }
  }

  private void ask(Consumer<Guard> question) {
    try (var scope = Scope.open()) {
      guards.forEach(question);
    }
  }

  @Override
  public SequencedMap<String, Tensor> parameters() {
    return optimizer.parameters();
  }

  @Override
  public Decoder model() {
    return model;
  }

  @Override
  public Decoder reference() {
    return reference.decoder();
  }

  @Override
  public Batch batch(List<Example> rows) {
    return windows.batch(rows, plan.padId());
  }

  @Override
  public double backward(List<Example> rows, List<Tap> taps) {
    try (var pass = Scope.open()) {
      var batch = batch(rows);
      var weights = Collections.nCopies(rows.size(), ExampleWeight.PLAIN);
      var loss =
          passes.backward(
              batch, taps, () -> LossRows.of(batch, weights, batch.supervised(), 0), List.of());
      optimizer.collect();
      return loss.total();
    }
  }

  @Override
  public double backward(List<Example> rows, HeadLoss loss) {
    try (var scope = Scope.open()) {
      double value = passes.backward(batch(rows), loss);
      optimizer.collect();
      return value;
    }
  }

  private ExampleWeight weigh(Example example) {
    var weight = Anchor.is(example) ? ExampleWeight.NONE : ExampleWeight.PLAIN;
    for (var guard : guards) {
      weight = guard.weigh(example, weight);
    }
    return weight;
  }

  private ArrayList<Tap> taps(Batch batch, long[] guarded) {
    var taps = new ArrayList<Tap>();
    for (int i = 0; i < guards.size(); i++) {
      taps.addAll(guards.get(i).taps(batch, guarded[i]));
    }
    return taps;
  }

  private List<Batch> batches(long step) {
    var batches = new ArrayList<Batch>();
    for (var own : risks.assess(window(step))) {
      var rows = new ArrayList<>(own);
      if (!anchors.isEmpty()) {
        long from = (step * 64 + batches.size()) * plan.anchorBatch();
        for (int i : anchorOrder.indices(from, plan.anchorBatch())) {
          rows.add(anchors.get(i));
        }
      }
      batches.add(batch(rows));
    }
    return batches;
  }

  /** The rows of a step by micro-batch, as guards want them. */
  private List<List<Example>> window(long step) {
    var window = new ArrayList<List<Example>>();
    for (var own : windows.of(step)) {
      for (var guard : guards) {
        own = guard.rows(step, window.size(), own);
      }
      window.add(own);
    }
    return window;
  }

  /** As PyTorch's {@code clip_grad_norm_}. */
  private double clipping(double norm) {
    return plan.clipNorm() > 0 ? Math.min(1, plan.clipNorm() / (norm + 1e-6)) : 1;
  }

  private LinkedHashMap<String, Double> terms(FusedHead.Loss loss, long supervised) {
    var terms = new LinkedHashMap<String, Double>();
    if (!guards.isEmpty()) {
      terms.put("cross_entropy", loss.plainCrossEntropy() / Math.max(1, supervised));
      terms.put("kl", loss.plainDivergence() / Math.max(1, supervised));
    }
    terms.putAll(risks.endStep());
    if (!guards.isEmpty() && reference != null) {
      terms.put("reference_rows", (double) (reference.computed() - computed));
      computed = reference.computed();
    }
    guards.forEach(guard -> terms.putAll(guard.metrics()));
    return terms;
  }

  /** A seed for each micro-batch, so that a resumed run draws the same dropout. */
  private static long mixed(long seed, long step, long micro) {
    long z = seed * 0x9E3779B97F4A7C15L + step * 0xBF58476D1CE4E5B9L + micro * 0x94D049BB133111EBL;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    return (z ^ (z >>> 27)) >>> 1;
  }
}
