package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.Goldens;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.data.Batch;
import io.holdfast.data.Example;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels.KlDirection;
import io.holdfast.model.AdapterMode;
import io.holdfast.model.Decoder;
import io.holdfast.model.Tap;
import io.holdfast.model.Tokens;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Examples that share a row learn what they learn in rows of their own. */
class PackedRunTest {
  @TempDir Path folder;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  @ParameterizedTest
  @ValueSource(strings = {"full", "lora-all", "kl", "kl-lora", "subspace-filter", "both"})
  void gradientsEqualThoseOfSeparateRows(String name) {
    var trace = Trace.of(name);
    var kernels = KernelBackends.select(Optional.of("cpu"));
    Map<String, float[]> expected;
    try (var window = TracedWindow.of(trace, KlDirection.FORWARD, kernels, folder)) {
      expected = window.gradients();
    }
    try (var window = TracedWindow.packed(trace, kernels, folder);
        var golden = Safetensors.open(trace.folder().resolve("first_gradients.safetensors"))) {
      var actual = window.gradients();
      assertEquals(expected.keySet(), actual.keySet());
      double difference = 0;
      double whole = 0;
      for (var parameter : expected.keySet()) {
        float[] separate = expected.get(parameter);
        for (int i = 0; i < separate.length; i++) {
          difference += Math.pow(separate[i] - actual.get(parameter)[i], 2);
          whole += Math.pow(separate[i], 2);
        }
        Goldens.assertCloseRelative(
            parameter, Goldens.floats(golden, parameter), actual.get(parameter), 1e-4);
      }
      assertTrue(
          Math.sqrt(difference / whole) < 1e-6, "differ by " + Math.sqrt(difference / whole));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"full", "kl", "both"})
  void theLossEqualsThatOfSeparateRows(String name) {
    var trace = Trace.of(name);
    var kernels = KernelBackends.select(Optional.of("cpu"));
    try (var separate = TracedWindow.of(trace, KlDirection.FORWARD, kernels, folder);
        var packed = TracedWindow.packed(trace, kernels, folder)) {
      assertEquals(1, packed.objective() / separate.objective(), 1e-6);
    }
  }

  /**
   * Neither what stands before an example nor its place in the row is seen in its hidden states,
   * with sliding windows shorter than an example, capped scores and other families' habits.
   */
  @ParameterizedTest
  @ValueSource(strings = {"llama-gqa", "mistral", "gemma2", "gemma3", "phi3-longrope", "qwen3"})
  void examplesDoNotSeeOneAnother(String name) {
    try (var model = Decoder.load(Goldens.path("model/" + name))) {
      int vocabulary = model.architecture().vocabulary();
      int longest = Math.min(30, model.architecture().shortPositions());
      var place = Trace.rows().getFirst().place();
      var rows = new ArrayList<Example>();
      for (int length : new int[] {5, longest, 1, 17, longest}) {
        int[] ids = new SplittableRandom(rows.size()).ints(length, 3, vocabulary).toArray();
        rows.add(new Example("" + length, ids, new boolean[length], -1, -1, 0, place));
      }
      var packed = hidden(model, Batch.packed(rows));
      for (int i = 0; i < rows.size(); i++) {
        Goldens.assertClose(
            name + ", example " + i,
            hidden(model, Batch.of(rows.subList(i, i + 1), 0)).getFirst(),
            packed.get(i),
            2e-5);
      }
      assertNotEquals(packed.get(1)[0], packed.get(4)[0], "the same numbers for other tokens");
    }
  }

  private static List<float[]> hidden(Decoder model, Batch batch) {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var all = model.forward(Tokens.of(batch), AdapterMode.ON, Tap.NONE);
      int width = (int) all.size(-1);
      var flat = Tensors.floats(all);
      var found = new ArrayList<float[]>();
      for (int i = 0; i < batch.examples().size(); i++) {
        int start = batch.starts()[i] * width;
        int end = start + batch.examples().get(i).length() * width;
        found.add(java.util.Arrays.copyOfRange(flat, start, end));
      }
      return found;
    }
  }

  @Test
  void positionsBeginAnewInEveryExample() {
    var rows = Trace.rows().subList(0, 3);
    try (var scope = Scope.open()) {
      var tokens = Tokens.of(Batch.packed(rows));
      var expected = new ArrayList<Long>();
      rows.forEach(
          row -> java.util.stream.LongStream.range(0, row.length()).forEach(expected::add));
      assertArrayEquals(
          expected.stream().mapToLong(Long::longValue).toArray(),
          Tensors.longs(tokens.positions()));
    }
  }

  @Test
  void anEpochHoldsEveryExampleOnce() {
    var rows = Trace.rows();
    var windows = Windows.packed(rows, 40, 1, 1, true, 7);
    assertTrue(windows.rows() < rows.size() / 2, windows.rows() + " rows");
    assertEquals(windows.rows(), windows.stepsPerEpoch());
    var orders = new ArrayList<List<String>>();
    for (int epoch = 0; epoch < 3; epoch++) {
      var seen = new IdentityHashMap<Example, Integer>();
      var order = new ArrayList<String>();
      for (int step = 0; step < windows.rows(); step++) {
        for (var example : windows.of((long) epoch * windows.rows() + step).getFirst()) {
          seen.merge(example, 1, Integer::sum);
          order.add(example.id());
        }
      }
      assertEquals(rows.size(), seen.size());
      assertTrue(seen.values().stream().allMatch(times -> times == 1));
      orders.add(order);
    }
    assertNotEquals(orders.get(0), orders.get(1), "each epoch has an order of its own");
    assertEquals(ids(windows, 5), ids(Windows.packed(rows, 40, 1, 1, true, 7), 5));
    assertNotEquals(composition(windows), composition(Windows.packed(rows, 40, 1, 1, true, 8)));
  }

  private static List<String> ids(Windows windows, long step) {
    return windows.of(step).getFirst().stream().map(Example::id).toList();
  }

  private static Map<List<String>, Integer> composition(Windows windows) {
    var rows = new HashMap<List<String>, Integer>();
    for (int step = 0; step < windows.rows(); step++) {
      rows.merge(ids(windows, step), 1, Integer::sum);
    }
    return rows;
  }

  /** Guards, anchors and a whole run: 13 examples in one window, packed and not. */
  @Test
  void aGuardedRunWithAnchorsEqualsTheUnpackedOne() {
    var tiny = TinyRun.in(folder);
    tiny.write("prompts.jsonl", prompts("the red lamp", "a river", "bread", "seven clouds"));
    tiny.write("others.jsonl", prompts("stone", "the blue cloud", "a lamp", "seven"));
    var settings =
        List.of(
            "data.train=[" + folder.resolve("chats.jsonl") + "]",
            "guard.kl={risk_column: risk, anchors: %s}".formatted(folder.resolve("prompts.jsonl")),
            ("guard.subspace={rank: 2, filter: 0.5, risk_column: risk, contrast: {harmful: %s,"
                    + " benign: %s}, anchors: %s, anchor_batch: 3}")
                .formatted(
                    folder.resolve("prompts.jsonl"),
                    folder.resolve("others.jsonl"),
                    folder.resolve("prompts.jsonl")),
            "optimizer.eps=1e-4");
    var separate = new ArrayList<>(settings);
    separate.add("batch_size=13");
    TinyRun.train(tiny.config("separate", separate.toArray(String[]::new)));
    var packed = new ArrayList<>(settings);
    packed.addAll(List.of("data.packing=true", "data.max_length=2048", "batch_size=1"));
    TinyRun.train(tiny.config("packed", packed.toArray(String[]::new)));
    var expected = Goldens.lines(tiny.output("separate").resolve("metrics.jsonl"));
    var actual = Goldens.lines(tiny.output("packed").resolve("metrics.jsonl"));
    for (int step = 0; step < 20; step++) {
      for (var name : List.of("loss", "grad_norm", "kl", "cross_entropy", "subspace_penalty")) {
        double wanted = expected.get(step).get(name).asDouble();
        double found = actual.get(step).get(name).asDouble();
        // Rounding is all that differs at first; the steps after it let it grow.
        double tolerance = step == 0 ? 1e-6 : 1e-3;
        assertEquals(wanted, found, tolerance * Math.abs(wanted) + 1e-7, name + ", step " + step);
      }
      assertEquals(expected.get(step).get("tokens"), actual.get(step).get("tokens"));
    }
  }

  private static List<String> prompts(String... texts) {
    return java.util.Arrays.stream(texts)
        .map("{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}]}"::formatted)
        .toList();
  }
}
