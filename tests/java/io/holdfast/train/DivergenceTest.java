package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels;
import io.holdfast.model.Decoder;
import io.holdfast.risk.RowRisks;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import io.holdfast.torch.Threads;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Numbers that are none stop a run before they reach the weights. */
class DivergenceTest {
  @TempDir Path folder;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  @Test
  void aRateThatIsTooLargeStopsTheRun() {
    var tiny = TinyRun.in(folder);
    var config =
        tiny.config(
            "run",
            "optimizer={lr: 1e30, weight_decay: 0}",
            "schedule={warmup_steps: 3, decay: constant}",
            "checkpoint={every: 1, keep: 9}");
    var error = assertThrows(HoldfastException.class, () -> TinyRun.train(config));
    assertEquals(ExitCode.DIVERGED, error.exitCode());
    var good = new Checkpoints(tiny.output("run"), 9).latest().orElseThrow();
    assertTrue(error.getMessage().contains(good.toString()), error.getMessage());
    assertTrue(error.getMessage().contains("rows.jsonl:"), "names the row: " + error.getMessage());
    try (var decoder = Decoder.load(good)) {
      decoder.weights().all().forEach((name, tensor) -> assertFinite(name, tensor));
    }
    assertEquals(
        "step-" + TinyRun.metrics(tiny.output("run")).size(), good.getFileName().toString());
  }

  @Test
  void withoutACheckpointItSaysSo() {
    var tiny = TinyRun.in(folder);
    var config = tiny.config("run", "optimizer.lr=1e30", "schedule.warmup_steps=0");
    var error = assertThrows(HoldfastException.class, () -> TinyRun.train(config));
    assertEquals(ExitCode.DIVERGED, error.exitCode());
    assertTrue(error.getMessage().contains("none was written yet"), error.getMessage());
  }

  @ParameterizedTest
  @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY})
  void aFailedStepLeavesTheWeightsAsTheyWere(float poison) {
    Threads.set(1);
    var kernels = KernelBackends.select(Optional.empty());
    try (var start = Decoder.load(Trace.file("base"));
        var model = start.copy()) {
      var parameters = new LinkedHashMap<>(model.weights().all());
      parameters.values().forEach(tensor -> tensor.requires_grad_(true));
      try (var optimizer =
          new Adamw(kernels, new Adamw.Settings(0.9, 0.999, 1e-8, 0.1), parameters)) {
        var trainer = trainer(model, optimizer, kernels);
        trainer.step();
        set(parameters.get("model.layers.1.mlp.up_proj.weight"), poison);
        var before = values(parameters);
        var moments = values(optimizer.secondMoments());
        var error = assertThrows(HoldfastException.class, trainer::step);
        assertEquals(ExitCode.DIVERGED, error.exitCode());
        // Window 2 of 4 rows in files' order begins at the fifth.
        assertTrue(error.getMessage().contains("rows.jsonl:5"), error.getMessage());
        assertEquals(1, trainer.steps());
        before.forEach(
            (name, old) -> assertArrayEquals(old, Tensors.floats(parameters.get(name)), name));
        moments.forEach(
            (name, old) ->
                assertArrayEquals(old, Tensors.floats(optimizer.secondMoments().get(name)), name));
        try (var scope = Scope.open()) {
          parameters.forEach((name, tensor) -> assertFalse(tensor.grad().defined(), name));
        }
        // With the number mended, training goes on.
        set(parameters.get("model.layers.1.mlp.up_proj.weight"), 0);
        assertTrue(Double.isFinite(trainer.step().loss()));
      }
    }
  }

  private static Trainer trainer(Decoder model, Adamw optimizer, Kernels kernels) {
    return new Trainer(
        new Trainer.Plan(9, 1, 0, 0, 1),
        model,
        new Windows(Trace.rows(), 2, 2, false, false, 1),
        new Schedule(1e-3, 0, 9, Schedule.Decay.CONSTANT),
        optimizer,
        List.of(),
        new RowRisks(0),
        null,
        Kernels.KlDirection.FORWARD,
        List.of(),
        kernels);
  }

  private static void set(Tensor tensor, float value) {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      tensor.select(0, 2).fill_(new Scalar(value));
    }
  }

  private static Map<String, float[]> values(Map<String, Tensor> tensors) {
    var values = new HashMap<String, float[]>();
    tensors.forEach((name, tensor) -> values.put(name, Tensors.floats(tensor)));
    return values;
  }

  private static void assertFinite(String name, Tensor tensor) {
    for (float value : Tensors.floats(tensor)) {
      assertTrue(Float.isFinite(value), name);
    }
  }
}
