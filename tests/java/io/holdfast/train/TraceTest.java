package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.holdfast.Goldens;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.data.Example;
import io.holdfast.guard.Guard;
import io.holdfast.guard.KlGuard;
import io.holdfast.guard.ReferenceCoefficients;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.guard.SubspaceGuard;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels;
import io.holdfast.model.Decoder;
import io.holdfast.model.Scorer;
import io.holdfast.risk.RowRisks;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SequencedMap;
import java.util.TreeMap;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Training against {@code transformers} with PyTorch's AdamW and autograd: loss, gradient norm and
 * first gradients at every step, final weights and logits.
 */
class TraceTest {
  @TempDir Path temporary;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  @ParameterizedTest
  @CsvSource({
    "full, cpu",
    "full-tied, cpu",
    "lora-qv, cpu",
    "lora-all, cpu",
    "lora-rich, cpu",
    "lora-parted, cpu",
    "lora-kept, cpu",
    "kl, cpu",
    "kl-lora, cpu",
    "both-lora, cpu",
    "subspace, cpu",
    "subspace-filter, cpu",
    "both, cpu",
    "full, reference",
    "both, reference"
  })
  void followsTheTrace(String name, String backEnd) {
    var trace = Trace.of(name);
    var kernels = KernelBackends.select(java.util.Optional.of(backEnd));
    var rows = Trace.rows();
    var guards = new ArrayList<Guard>();
    Decoder frozen =
        trace.named("reference") == null ? null : Decoder.load(trace.named("reference"));
    try (var start = Decoder.load(trace.named("model"));
        var tuned = TracedModel.of(trace)) {
      var model = tuned.decoder();
      var trainable = tuned.parameters();
      if (trace.flag("kl")) {
        guards.add(new KlGuard(new KlGuard.Weighting.Risk(0.1, 0.9, true), 0));
      }
      if (trace.number("guard_weight") > 0) {
        guards.add(subspaceGuard(trace, rows, frozen == null ? start : frozen, kernels));
      }
      var reference = new Reference(frozen == null ? start : frozen);
      var optimizer = new Adamw(kernels, optimizerSettings(trace), trainable);
      var trainer = trainer(trace, model, rows, optimizer, guards, reference, kernels);
      while (!trainer.done()) {
        compare(trace, trainer.step());
      }
      compareEnd(trace, model, trainable);
      guards.forEach(Guard::close);
      optimizer.close();
    } finally {
      if (frozen != null) {
        frozen.close();
      }
    }
  }

  static Trainer trainer(
      Trace trace,
      Decoder model,
      List<Example> rows,
      Adamw optimizer,
      List<Guard> guards,
      Reference reference,
      Kernels kernels) {
    return new Trainer(
        new Trainer.Plan((long) trace.number("steps"), trace.number("clip_norm"), 0, 0, 1),
        model,
        new Windows(
            rows,
            (int) trace.number("micro_batch"),
            (int) trace.number("accumulation"),
            false,
            false,
            1),
        schedule(trace),
        optimizer,
        guards,
        new RowRisks(0),
        reference,
        Kernels.KlDirection.FORWARD,
        List.of(),
        kernels);
  }

  static void compare(Trace trace, StepReport report) {
    var golden = trace.step(report.step());
    var what = trace.folder().getFileName() + " step " + report.step() + " ";
    double kl = golden.has("kl") ? golden.get("kl").asDouble() : 0;
    double penalty = golden.has("penalty") ? golden.get("penalty").asDouble() : 0;
    double objective = golden.get("loss").asDouble() - trace.number("guard_weight") / 2 * penalty;
    assertEquals(objective, report.loss(), 1e-4, what + "loss");
    assertEquals(
        1, report.gradNorm() / golden.get("grad_norm").asDouble(), 1e-4, what + "gradient norm");
    assertEquals(golden.get("lr").asDouble(), report.lr(), 1e-12, what + "learning rate");
    assertEquals(golden.get("tokens").asLong(), report.tokens(), what + "tokens");
    if (golden.has("kl")) {
      assertEquals(kl, report.terms().get("kl"), 1e-5, what + "KL");
    }
    if (golden.has("penalty")) {
      assertEquals(
          1, report.terms().get("subspace_penalty") / penalty, 1e-3, what + "subspace penalty");
    }
  }

  private static void compareEnd(
      Trace trace, Decoder model, SequencedMap<String, Tensor> trainable) {
    var probes = new ArrayList<int[]>();
    Goldens.json(Trace.file("probes.json")).forEach(ids -> probes.add(Goldens.ints(ids)));
    var scores = new Scorer(model, 4).score(probes);
    try (var golden = Safetensors.open(trace.folder().resolve("final.safetensors"))) {
      for (int i = 0; i < probes.size(); i++) {
        float[] all = Goldens.floats(golden, "logits/" + i);
        int vocabulary = model.architecture().vocabulary();
        var last = java.util.Arrays.copyOfRange(all, all.length - vocabulary, all.length);
        Goldens.assertClose("final logits of probe " + i, last, scores.get(i).lastLogits(), 1e-3);
      }
      trainable.forEach(
          (name, tensor) ->
              Goldens.assertClose(
                  "final " + name,
                  Goldens.floats(golden, "weights/" + name),
                  Tensors.floats(tensor),
                  1e-4));
    }
  }

  private SubspaceGuard subspaceGuard(
      Trace trace, List<Example> rows, Decoder reference, Kernels kernels) {
    var bases = new TreeMap<Integer, double[][]>();
    var scales = new TreeMap<Integer, Double>();
    try (var file = Safetensors.open(Trace.file("basis.safetensors"))) {
      for (var name : file.names()) {
        var tensor = file.get(name);
        int d = (int) tensor.sizes()[0];
        int k = (int) tensor.sizes()[1];
        var basis = new double[d][k];
        for (int i = 0; i < d * k; i++) {
          basis[i / k][i % k] = tensor.data().get(ValueLayout.JAVA_FLOAT_UNALIGNED, 4L * i);
        }
        // The output of block l, counted from 1, is slot l of the residual stream.
        int layer = Integer.parseInt(name.substring("layer.".length()));
        bases.put(layer, basis);
        scales.put(layer, 1.0);
      }
    }
    var subspace = new SafetySubspace(bases, scales, "golden");
    var coefficients =
        ReferenceCoefficients.of(
            temporary.resolve("coefficients.safetensors"),
            "golden",
            rows,
            Trace.guarded(),
            subspace,
            reference,
            kernels);
    var settings =
        new SubspaceGuard.Settings(
            trace.number("guard_weight"),
            trace.flag("guard_filter") ? 1 : 0,
            trace.flag("guard_by_risk"),
            false);
    return new SubspaceGuard(settings, subspace, coefficients, Trace.guarded(), kernels);
  }

  static Schedule schedule(Trace trace) {
    return new Schedule(
        trace.number("lr"),
        (long) trace.number("warmup_steps"),
        (long) trace.number("steps"),
        Schedule.Decay.COSINE);
  }

  static Adamw.Settings optimizerSettings(Trace trace) {
    return new Adamw.Settings(
        trace.settings().get("betas").get(0).asDouble(),
        trace.settings().get("betas").get(1).asDouble(),
        trace.number("eps"),
        trace.number("weight_decay"));
  }
}
