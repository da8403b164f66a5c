package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.holdfast.checkpoint.Safetensors;
import io.holdfast.data.Example;
import io.holdfast.guard.Guard;
import io.holdfast.guard.KlGuard;
import io.holdfast.guard.ReferenceCoefficients;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.guard.SubspaceGuard;
import io.holdfast.kernels.AdamwTensor;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Kernels.KlDirection;
import io.holdfast.model.Decoder;
import io.holdfast.risk.RowRisks;
import io.holdfast.torch.Threads;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;
import org.bytedeco.pytorch.Tensor;

/**
 * The first accumulation window of a golden trace, as often as it is asked for: the trainer does
 * all it does, but its kernels note the gradients where they should have changed the weights.
 */
final class TracedWindow implements AutoCloseable {
  private final Trace trace;
  private final Decoder start;
  private final TracedModel model;
  private final Decoder frozen;
  private final SequencedMap<String, Tensor> parameters;
  private final Adamw optimizer;
  private final Trainer trainer;
  private final List<Example> rows = Trace.rows();
  private final List<Guard> guards = new ArrayList<>();
  private List<float[]> noted = List.of();

  private enum Way {
    PLAIN,
    PACKED,
    RECOMPUTED
  }

  private TracedWindow(Trace trace, KlDirection direction, Kernels real, Path temporary, Way way) {
    Threads.set(1);
    this.trace = trace;
    this.start = Decoder.load(trace.named("model"));
    this.model = TracedModel.of(trace);
    this.frozen = trace.named("reference") == null ? null : Decoder.load(trace.named("reference"));
    this.parameters = model.parameters();
    if (trace.flag("kl")) {
      guards.add(new KlGuard(new KlGuard.Weighting.Risk(0.1, 0.9, true), 0));
    }
    if (trace.number("guard_weight") > 0) {
      guards.add(subspaceGuard(frozen == null ? start : frozen, real, temporary));
    }
    var kernels = noting(real);
    this.optimizer = new Adamw(kernels, new Adamw.Settings(0.9, 0.999, 1e-8, 0), parameters);
    this.trainer =
        new Trainer(
            new Trainer.Plan(1, 0, 0, 0, 1, way == Way.RECOMPUTED, 0),
            model.decoder(),
            windows(way == Way.PACKED),
            new Schedule(1, 0, 1, Schedule.Decay.CONSTANT),
            optimizer,
            guards,
            new RowRisks(0),
            new Reference(frozen == null ? start : frozen),
            direction,
            List.of(),
            kernels);
  }

  static TracedWindow of(Trace trace, KlDirection direction, Kernels kernels, Path temporary) {
    return new TracedWindow(trace, direction, kernels, temporary, Way.PLAIN);
  }

  /** The same window with its examples in two packed rows, each a micro-batch. */
  static TracedWindow packed(Trace trace, Kernels kernels, Path temporary) {
    return new TracedWindow(trace, KlDirection.FORWARD, kernels, temporary, Way.PACKED);
  }

  /** The same window with activation checkpointing. */
  static TracedWindow recomputed(Trace trace, Kernels kernels, Path temporary) {
    return new TracedWindow(trace, KlDirection.FORWARD, kernels, temporary, Way.RECOMPUTED);
  }

  private Windows windows(boolean packed) {
    int batch = (int) trace.number("micro_batch");
    int accumulation = (int) trace.number("accumulation");
    if (!packed) {
      return new Windows(rows, batch, accumulation, false, false, 1);
    }
    var window = rows.subList(0, batch * accumulation);
    int half = window.stream().mapToInt(Example::length).sum() * 5 / 8;
    var windows = Windows.packed(window, half, 1, 2, false, 1);
    assertEquals(2, windows.rows(), "rows");
    return windows;
  }

  private Kernels noting(Kernels real) {
    return (Kernels)
        Proxy.newProxyInstance(
            Kernels.class.getClassLoader(),
            new Class<?>[] {Kernels.class},
            (proxy, method, arguments) -> {
              if (method.getName().equals("adamw")) {
                noted = ((List<?>) arguments[0]).stream().map(TracedWindow::gradient).toList();
                return null;
              }
              try {
                return method.invoke(real, arguments);
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }

  private static float[] gradient(Object tensor) {
    return ((AdamwTensor) tensor).gradient().data().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
  }

  private SubspaceGuard subspaceGuard(Decoder reference, Kernels kernels, Path temporary) {
    var bases = new TreeMap<Integer, double[][]>();
    var scales = new TreeMap<Integer, Double>();
    try (var file = Safetensors.open(Trace.file("basis.safetensors"))) {
      for (var name : file.names()) {
        var tensor = file.get(name);
        int rank = (int) tensor.sizes()[1];
        var basis = new double[(int) tensor.sizes()[0]][rank];
        for (int i = 0; i < basis.length * rank; i++) {
          basis[i / rank][i % rank] = tensor.data().get(ValueLayout.JAVA_FLOAT_UNALIGNED, 4L * i);
        }
        int layer = Integer.parseInt(name.substring("layer.".length()));
        bases.put(layer, basis);
        scales.put(layer, 1.0);
      }
    }
    var subspace = new SafetySubspace(bases, scales, "golden");
    return new SubspaceGuard(
        new SubspaceGuard.Settings(
            trace.number("guard_weight"),
            trace.flag("guard_filter") ? 1 : 0,
            trace.flag("guard_by_risk"),
            false),
        subspace,
        ReferenceCoefficients.of(
            temporary.resolve("coefficients.safetensors"),
            "golden",
            rows,
            Trace.guarded(),
            subspace,
            reference,
            kernels),
        Trace.guarded(),
        kernels);
  }

  /** What is trained, by name; change it to see another gradient. */
  SequencedMap<String, Tensor> parameters() {
    return parameters;
  }

  /** The gradient of the window's objective by every parameter. */
  Map<String, float[]> gradients() {
    step();
    assertEquals(parameters.size(), noted.size(), "every parameter has a gradient");
    var gradients = new LinkedHashMap<String, float[]>();
    int at = 0;
    for (var name : parameters.keySet()) {
      gradients.put(name, noted.get(at++));
    }
    return gradients;
  }

  /** What is minimised: weighted cross entropy and divergence, and the subspace penalty. */
  double objective() {
    var report = step();
    double penalty = report.terms().getOrDefault("subspace_penalty", 0.0);
    return report.loss() + trace.number("guard_weight") / 2 * penalty;
  }

  private StepReport step() {
    var report = trainer.step();
    optimizer.resume(0);
    return report;
  }

  @Override
  public void close() {
    optimizer.close();
    guards.forEach(Guard::close);
    if (frozen != null) {
      frozen.close();
    }
    model.close();
    start.close();
  }
}
