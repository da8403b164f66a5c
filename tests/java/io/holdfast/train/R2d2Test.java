package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.data.Place;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels;
import io.holdfast.model.Decoder;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.model.TrainingPass;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import io.holdfast.train.config.TrainConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.stream.StreamSupport;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** R2D2: its losses are PyTorch's, its pool goes on where it was left. */
class R2d2Test {
  private static final Kernels KERNELS = KernelBackends.select(Optional.empty());

  /** Away, toward and clean loss, and the gradient of their sum by weights of every kind. */
  @ParameterizedTest
  @ValueSource(strings = {"llama-gqa", "gemma2"})
  void lossesAndGradientsArePyTorchs(String name) {
    var golden = Goldens.json(Goldens.path("attack/" + name + ".json")).get("r2d2");
    try (var file = Decoder.load(Goldens.path("model/" + name));
        var model = file.copy();
        var expected = Safetensors.open(Goldens.path("attack/" + name + ".safetensors"));
        var scope = Scope.open()) {
      model.weights().all().values().forEach(weight -> weight.requires_grad_(true));
      var attacked = examples(golden.get("away"));
      int targets = attacked.size();
      attacked.addAll(examples(golden.get("toward")));
      var loss = new AwayToward(KERNELS, model, targets, .5, .5, -5);
      double total = pass(model, attacked, loss);
      var clean = new AwayToward(KERNELS, model, 0, 0, 1, -5);
      double cleanLoss = pass(model, examples(golden.get("clean")), clean);
      assertEquals(value(expected, "r2d2/away"), loss.away(), 1e-4);
      assertEquals(value(expected, "r2d2/toward"), loss.toward(), 1e-4);
      assertEquals(value(expected, "r2d2/clean"), cleanLoss, 1e-4);
      assertEquals(.5 * loss.away() + .5 * loss.toward(), total, 1e-9);
      int compared = 0;
      for (var tensor : expected.names()) {
        if (tensor.startsWith("r2d2/gradient/")) {
          var weight = model.weights().get(tensor.substring("r2d2/gradient/".length()));
          Goldens.assertCloseRelative(
              tensor, Goldens.floats(expected, tensor), Tensors.floats(weight.grad()), 1e-4);
          compared++;
        }
      }
      assertEquals(3, compared);
    }
  }

  private static double pass(Decoder model, List<Example> rows, AwayToward loss) {
    var batch = Batch.of(rows, 0);
    try (var pass = TrainingPass.kept(model, Tokens.of(batch), Tap.NONE)) {
      var gradient = torch.zeros_like(pass.hidden()).view(-1, pass.hidden().size(-1));
      double total = loss.lossAndGradient(batch, pass.hidden(), gradient);
      pass.backward(gradient);
      return total;
    }
  }

  private static double value(Safetensors file, String name) {
    return Goldens.floats(file, name)[0];
  }

  private static List<Example> examples(JsonNode rows) {
    var examples = new ArrayList<Example>();
    for (var row : rows) {
      int[] prompt = Goldens.ints(row.get("prompt"));
      int[] answer = Goldens.ints(row.get("answer"));
      int[] ids = Arrays.copyOf(prompt, prompt.length + answer.length);
      System.arraycopy(answer, 0, ids, prompt.length, answer.length);
      var target = new boolean[ids.length];
      Arrays.fill(target, prompt.length, ids.length, true);
      examples.add(
          new Example(
              "row",
              ids,
              target,
              -1,
              prompt.length - 1,
              Float.NaN,
              new Place(Path.of("golden"), 1)));
    }
    return examples;
  }

  private static TrainConfig config(TinyRun run, String name, String... more) {
    var cases =
        run.write(
            "cases.jsonl",
            List.of(
                "{\"prompt\": \"Say red\", \"target\": \"It is red\"}",
                "{\"prompt\": \"Say a river\", \"target\": \"It is a river\"}",
                "{\"prompt\": \"Say stone\", \"target\": \"It is stone\"}"));
    var all =
        new ArrayList<>(
            List.of(
                "steps=6",
                "checkpoint={every: 3, keep: 9}",
                "method={r2d2: {cases: "
                    + cases
                    + ", pool: 4, update: 2, gcg_steps: 2, width: 12, topk: 8,"
                    + " repetitions: [3, 5], reset_every: 2, reset_share: 0.5}}"));
    all.addAll(Arrays.asList(more));
    return run.config(name, all.toArray(String[]::new));
  }

  @Test
  void resumedEqualsUninterrupted(@TempDir Path folder) {
    var run = TinyRun.in(folder);
    var whole = TinyRun.train(config(run, "whole"));
    TinyRun.train(config(run, "parts", "steps=3", "schedule.decay=constant"));
    var straight = TinyRun.train(config(run, "straight", "schedule.decay=constant"));
    var resumed = TinyRun.resume(config(run, "parts", "schedule.decay=constant"));
    for (var file : List.of("model.safetensors", "optimizer.safetensors", "guards.safetensors")) {
      assertEquals(TinyRun.bits(straight.resolve(file)), TinyRun.bits(resumed.resolve(file)), file);
    }
    assertEquals(TinyRun.metrics(run.output("straight")), TinyRun.metrics(run.output("parts")));
    assertNotEquals(
        TinyRun.bits(whole.resolveSibling("step-3").resolve("guards.safetensors")),
        TinyRun.bits(whole.resolve("guards.safetensors")));
  }

  @Test
  void itLearnsBesideTheRows(@TempDir Path folder) {
    var run = TinyRun.in(folder);
    TinyRun.train(config(run, "r2d2", "steps=12", "optimizer.lr=5e-2"));
    var lines = Goldens.lines(run.output("r2d2").resolve("metrics.jsonl"));
    double first = lines.getFirst().get("r2d2_toward").asDouble();
    double last = lines.getLast().get("r2d2_toward").asDouble();
    assertTrue(last < first - .5, first + " -> " + last);
    assertTrue(
        StreamSupport.stream(lines.spliterator(), false)
            .allMatch(line -> line.has("r2d2_away") && line.has("r2d2_attack_loss")));
  }

  @Test
  void thePool() {
    var beginnings = List.of(new int[] {7}, new int[] {7, 7, 7});
    try (var pool = new TestCasePool(10, 5, beginnings, 3)) {
      var before = new ArrayList<int[]>();
      for (int i = 0; i < 10; i++) {
        pool.put(i, new TestCasePool.TestCase(i % 5, new int[] {i, i + 1}));
        before.add(pool.get(i).string());
        assertArrayEquals(new int[] {i, i + 1}, pool.get(i).string());
        assertEquals(i % 5, pool.get(i).request());
      }
      assertEquals(6, new HashSet<>(pool.draw(4, 6)).size());
      assertEquals(pool.draw(4, 6), pool.draw(4, 6));
      assertNotEquals(pool.draw(4, 6), pool.draw(5, 6));
      pool.reset(4, .2);
      int changed = 0;
      for (int i = 0; i < 10; i++) {
        changed += Arrays.equals(before.get(i), pool.get(i).string()) ? 0 : 1;
      }
      assertEquals(2, changed);
    }
  }

  /** A model that is certain of a token leaves finite gradients. */
  @Test
  void certaintyIsFinite() {
    try (var file = Decoder.load(Goldens.path("model/llama-gqa"));
        var model = file.copy();
        var scope = Scope.open()) {
      var golden = Goldens.json(Goldens.path("attack/llama-gqa.json")).get("r2d2");
      var batch = Batch.of(examples(golden.get("away")), 0);
      var hidden = Tensors.zeros(batch.rows(), batch.width(), model.architecture().hidden());
      int label = (int) Arrays.stream(batch.labels()).filter(l -> l >= 0).findFirst().orElseThrow();
      // States along the label's own head row, so far out that its probability rounds to one.
      hidden.add_(model.head().select(0, label).mul(new org.bytedeco.pytorch.Scalar(1000)));
      var gradient = torch.zeros_like(hidden).view(-1, hidden.size(-1));
      double loss =
          new AwayToward(KERNELS, model, 2, 1, 1, -5).lossAndGradient(batch, hidden, gradient);
      assertTrue(Double.isFinite(loss) && loss > 1, "" + loss);
      for (float value : Tensors.floats(gradient)) {
        assertTrue(Float.isFinite(value));
      }
    }
  }

  @Test
  void badInput(@TempDir Path folder) {
    var run = TinyRun.in(folder);
    var many = refused(() -> config(run, "x", "method.r2d2.update=9"));
    assertEquals(ExitCode.USAGE, many.exitCode());
    assertTrue(many.getMessage().contains("method.r2d2.update"), many.getMessage());
    var missing =
        refused(() -> TinyRun.train(config(run, "y", "method.r2d2.cases=" + folder + "/none")));
    assertTrue(missing.getMessage().contains("method.r2d2.cases"), missing.getMessage());
    var bare = run.write("bare.jsonl", List.of("{\"prompt\": \"Say red\"}"));
    var target = refused(() -> TinyRun.train(config(run, "z", "method.r2d2.cases=" + bare)));
    assertTrue(target.getMessage().contains("bare.jsonl:1"), target.getMessage());
    var unknown = refused(() -> run.config("u", "method={r2d3: {}}"));
    assertTrue(unknown.getMessage().contains("r2d2"), unknown.getMessage());
  }

  private static HoldfastException refused(org.junit.jupiter.api.function.Executable action) {
    return assertThrows(HoldfastException.class, action);
  }
}
