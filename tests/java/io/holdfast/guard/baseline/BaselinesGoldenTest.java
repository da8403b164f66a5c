package io.holdfast.guard.baseline;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.Goldens;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.data.Example;
import io.holdfast.guard.Guard;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.model.Tap;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import io.holdfast.torch.Threads;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Published baselines against PyTorch's autograd in float64, goldens/baselines.py. */
class BaselinesGoldenTest {
  private static final List<String> MODULES =
      List.of("model.layers.0.mlp.down_proj", "model.layers.2.self_attn.q_proj");
  private static final double TOLERANCE = 2e-5;

  private Safetensors golden;

  @BeforeEach
  void open() {
    Threads.set(1);
    golden = Safetensors.open(GoldenTuning.ROOT.resolve("baselines.safetensors"));
  }

  @AfterEach
  void nothingLives() {
    golden.close();
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private static float[] floats(Tensor tensor) {
    return Tensors.memory(tensor.contiguous()).toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
  }

  /** Relative to the largest entry of what is expected. */
  private void assertGolden(String name, Tensor actual) {
    float[] expected = Goldens.floats(golden, name);
    float[] found = floats(actual);
    assertEquals(expected.length, found.length, name);
    double largest = 0;
    for (float value : expected) {
      largest = Math.max(largest, Math.abs(value));
    }
    assertTrue(largest > 0, name);
    for (int i = 0; i < found.length; i++) {
      assertEquals(expected[i], found[i], TOLERANCE * largest, name + " at " + i);
    }
  }

  private void assertGradients(String name, GoldenTuning run) {
    for (var module : MODULES) {
      var weight = module + ".weight";
      assertGolden(name + "/" + weight, new Tensor(run.parameters().get(weight).grad()));
    }
  }

  private static Map<String, float[]> bits(GoldenTuning run) {
    var bits = new LinkedHashMap<String, float[]>();
    run.parameters().forEach((name, weight) -> bits.put(name, floats(weight.detach())));
    return bits;
  }

  private static void assertSame(Map<String, float[]> before, GoldenTuning run) {
    bits(run).forEach((name, now) -> assertArrayEquals(before.get(name), now, name));
  }

  @Test
  void theTaskItself() {
    try (var run = GoldenTuning.full();
        var scope = Scope.open()) {
      run.backward(GoldenTuning.rows(0, 4), Tap.NONE);
      assertGradients("task", run);
    }
  }

  @Test
  void ewcHasTheFisherInformationOfTheAnswersAndPullsByIt() {
    try (var run = GoldenTuning.full();
        var scope = Scope.open();
        var ewc = new ElasticWeights(3, GoldenTuning.own())) {
      ewc.begin(run);
      for (var module : MODULES) {
        assertGolden("ewc/" + module + ".weight", ewc.fisher().get(module + ".weight"));
      }
      assertTrue(run.parameters().values().stream().noneMatch(p -> p.grad().defined()));
      var name = MODULES.getFirst() + ".weight";
      var weight = run.parameters().get(name);
      run.backward(GoldenTuning.rows(0, 4), Tap.NONE);
      float[] task = floats(new Tensor(weight.grad()));
      try (var noGrad = NoGrad.on()) {
        weight.add_(new Scalar(0.5));
      }
      ewc.beforeUpdate();
      float[] fisher = Goldens.floats(golden, "ewc/" + name);
      float[] all = floats(new Tensor(weight.grad()));
      for (int i = 0; i < all.length; i++) {
        assertEquals(task[i] + 3 * fisher[i] * 0.5, all[i], 1e-4 * (1 + Math.abs(fisher[i])));
      }
    }
  }

  @Test
  void vaccineLearnsUnderThePerturbationThatHurtsMost() {
    try (var run = GoldenTuning.full();
        var scope = Scope.open();
        var vaccine = new Vaccine(0.5)) {
      vaccine.begin(run);
      var before = bits(run);
      var rows = GoldenTuning.rows(0, 4);
      var taps = vaccine.taps(run.batch(rows), 1);
      assertTrue(run.parameters().values().stream().noneMatch(p -> p.grad().defined()));
      run.backward(rows, taps);
      assertGradients("vaccine", run);
      assertSame(before, run);
    }
  }

  @Test
  void boosterAddsWhatAHarmfulStepWouldChangeAndComesBackBitForBit() {
    try (var run = GoldenTuning.full();
        var scope = Scope.open();
        var booster = new Booster(GoldenTuning.own(), 4, 5, 0.1)) {
      booster.begin(run);
      var before = bits(run);
      run.backward(GoldenTuning.rows(0, 4), Tap.NONE);
      booster.beforeUpdate();
      assertGradients("booster", run);
      assertSame(before, run);
    }
  }

  @Test
  void circuitBreakersTurnHarmfulStatesAwayAndKeepTheOthers() {
    try (var run = GoldenTuning.full();
        var scope = Scope.open();
        var breakers = new CircuitBreakers(GoldenTuning.own(), 4, List.of(1, 3), 10, 4)) {
      breakers.begin(run);
      run.steps = 1;
      breakers.taps(run.batch(GoldenTuning.rows(0, 4)), 1);
      breakers.beforeUpdate();
      assertGradients("circuit", run);
    }
  }

  @Test
  void repNoiseDrawsHarmfulStatesToNoise() {
    try (var run = GoldenTuning.full();
        var scope = Scope.open()) {
      int[] layer = {0};
      var noised =
          new RepNoise(
              new OwnRows(GoldenTuning.rows(4, 6), 1),
              2,
              1,
              0.5,
              like -> {
                var noise = Goldens.floats(golden, "noise/" + layer[0]++);
                return Tensors.of(noise, Tensors.shape(like));
              });
      noised.begin(run);
      noised.beforeUpdate();
      assertGradients("repnoise", run);
      assertEquals(3, layer[0]);
    }
  }

  @Test
  void safeLoraProjectsTheUpdatesThatLeaveAlignmentsDirections() {
    double threshold = Double.parseDouble(golden.metadata().get("safe_lora_threshold"));
    try (var run = GoldenTuning.lora();
        var scope = Scope.open();
        var safe = new SafeLora(GoldenTuning.ROOT.resolve("start"), threshold, Optional.empty())) {
      safe.begin(run);
      var before = bits(run);
      safe.finish();
      int changed = 0;
      for (var module : MODULES) {
        var b = run.model().adapters().get(module).b();
        assertGolden("safe_lora/" + module, b.detach());
        var old = before.get("base_model.model." + module + ".lora_B.weight");
        changed += Arrays.equals(old, floats(b.detach())) ? 0 : 1;
      }
      assertEquals(1, changed, "the threshold lies between the two");
    }
  }

  @Test
  void saLoraKeepsTheUpdateOutOfTheSafetyDirections() {
    try (var run = GoldenTuning.lora();
        var scope = Scope.open();
        var fixed = new SaLora(GoldenTuning.own(), 8)) {
      fixed.begin(run);
      for (var module : MODULES) {
        var v = fixed.directions(module);
        assertGolden("sa_lora/" + module, v.mm(v.t()));
      }
      run.backward(GoldenTuning.rows(0, 4), Tap.NONE);
      fixed.beforeUpdate();
      fixed.afterUpdate();
      run.model()
          .adapters()
          .forEach(
              (module, update) -> {
                var v = fixed.directions(module);
                var gradient = new Tensor(update.b().grad());
                assertEquals(0, v.t().mm(gradient).abs().max().item_double(), 1e-5, module);
                assertEquals(0, v.t().mm(update.b()).abs().max().item_double(), 1e-5, module);
                assertTrue(gradient.abs().max().item_double() > 1e-5, module);
              });
    }
  }

  @Test
  void antidotePrunesWhatHarmfulRowsUseMost() {
    try (var run = GoldenTuning.full();
        var scope = Scope.open();
        var antidote = new Antidote(GoldenTuning.own(), 0.1)) {
      antidote.begin(run);
      antidote.finish();
      for (var module : MODULES) {
        var name = module + ".weight";
        assertGolden("antidote/" + name, run.parameters().get(name).detach());
      }
    }
    try (var run = GoldenTuning.lora();
        var scope = Scope.open();
        var antidote = new Antidote(GoldenTuning.own(), 0.3)) {
      antidote.begin(run);
      antidote.finish();
      for (var module : MODULES) {
        var update = run.model().adapters().get(module);
        assertGolden("antidote/" + module + ".a", update.a().detach());
        assertGolden("antidote/" + module + ".b", update.b().detach());
      }
    }
  }

  /** Closed form: lambda (w - w_0). */
  @Test
  void l2PullsToTheStart() {
    try (var run = GoldenTuning.full();
        var scope = Scope.open();
        var pull = new PullToStart(0.25)) {
      pull.begin(run);
      run.backward(GoldenTuning.rows(0, 4), Tap.NONE);
      var weight = run.parameters().get(MODULES.getFirst() + ".weight");
      float[] task = floats(new Tensor(weight.grad()));
      try (var noGrad = NoGrad.on()) {
        weight.sub_(new Scalar(2));
      }
      pull.beforeUpdate();
      float[] all = floats(new Tensor(weight.grad()));
      for (int i = 0; i < all.length; i++) {
        assertEquals(task[i] - 0.5, all[i], 1e-6);
      }
      assertEquals(4.0 * all.length, pull.metrics().get("squared_distance"), 0.01);
    }
  }

  /** Closed form: turns by the step's number, a pull to the weights at their beginning. */
  @Test
  void lisaTakesTurns() {
    try (var run = GoldenTuning.full();
        var scope = Scope.open();
        var lisa = new Lisa(GoldenTuning.own(), 2, 3, 0.5)) {
      lisa.begin(run);
      var own = GoldenTuning.rows(0, 4);
      for (int step = 0; step < 10; step++) {
        assertEquals(step % 5 >= 2, lisa.rows(step, 0, own) == own, "step " + step);
      }
      var weight = run.parameters().get(MODULES.getFirst() + ".weight");
      // The turn of user steps begins at 52; the first tenth of the 100 steps is over.
      pulled(run, lisa, weight, 52, 0);
      pulled(run, lisa, weight, 53, 0.5);
      pulled(run, lisa, weight, 54, 1);
      pulled(run, lisa, weight, 55, 0);
      pulled(run, lisa, weight, 3, 0);
    }
  }

  /** One step, then every weight is one greater. */
  private static void pulled(
      GoldenTuning run, Guard lisa, Tensor weight, long step, double expected) {
    run.steps = step;
    weight.mutable_grad().put(weight.detach().mul(new Scalar(0)));
    lisa.beforeUpdate();
    float[] gradient = floats(new Tensor(weight.grad()));
    assertEquals(expected, gradient[0], 1e-6, "step " + step);
    assertEquals(expected, gradient[gradient.length - 1], 1e-6, "step " + step);
    try (var noGrad = NoGrad.on()) {
      weight.add_(new Scalar(1));
    }
  }

  /** With the first two axes as the basis, their rows of the gradient are gone, the others not. */
  @Test
  void gradientProjectionTakesTheSubspaceOutOfWriters() {
    var basis = new double[32][2];
    basis[0][0] = 1;
    basis[1][1] = 1;
    var subspace =
        new SafetySubspace(
            new TreeMap<>(Map.of(1, basis)), new TreeMap<>(Map.of(1, 1.0)), "any model");
    try (var run = GoldenTuning.full();
        var scope = Scope.open();
        var projection = new GradientProjection(subspace)) {
      projection.begin(run);
      run.backward(GoldenTuning.rows(0, 4), Tap.NONE);
      projection.beforeUpdate();
      for (var module : MODULES) {
        float[] expected = Goldens.floats(golden, "task/" + module + ".weight");
        var weight = run.parameters().get(module + ".weight");
        float[] found = floats(new Tensor(weight.grad()));
        boolean held = module.contains("layers.0.mlp.down_proj");
        for (int i = 0; i < found.length; i++) {
          boolean inside = held && i < 2 * weight.size(1);
          assertEquals(inside ? 0 : expected[i], found[i], 1e-5, module + " at " + i);
        }
      }
    }
  }

  @Test
  void frozenLayersHaveNoGradient() {
    try (var run = GoldenTuning.full();
        var scope = Scope.open();
        var frozen = new FrozenLayers(1, 1)) {
      frozen.begin(run);
      run.backward(GoldenTuning.rows(0, 4), Tap.NONE);
      run.parameters()
          .forEach(
              (name, weight) ->
                  assertEquals(!name.contains("layers.1."), weight.grad().defined(), name));
    }
  }

  @Test
  void replayAddsRowsAndRepeatsThem() {
    try (var replay = new Replay(GoldenTuning.own(), 3)) {
      var own = GoldenTuning.rows(0, 2);
      var mixed = replay.rows(7, 1, own);
      assertEquals(own, mixed.subList(0, 2));
      assertEquals(5, mixed.size());
      assertEquals(ids(mixed), ids(replay.rows(7, 1, own)));
      assertFalse(ids(mixed).equals(ids(replay.rows(8, 1, own))));
    }
  }

  private static List<Long> ids(List<Example> rows) {
    return rows.stream().map(row -> row.place().line()).toList();
  }
}
