package io.holdfast.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.holdfast.Goldens;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The decoder against {@code transformers}, float32. */
class DecoderGoldenTest {
  private static final double TOLERANCE = 1e-4;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"llama-gqa", "llama3-rope", "llama-bias", "llama-sharded", "llama-legacy"})
  void logProbabilitiesAndLastLogits(String name) {
    var folder = Goldens.path("model/" + name);
    var cases = Goldens.json(folder.resolve("cases.json")).get("cases");
    try (var decoder = Decoder.load(folder);
        var golden = Safetensors.open(folder.resolve("golden.safetensors"))) {
      var sequences = new ArrayList<int[]>();
      cases.forEach(one -> sequences.add(Goldens.ints(one.get("tokens"))));
      // All at once, padded on the right, and one at a time: both must give the same numbers.
      for (int batch : new int[] {sequences.size(), 1}) {
        var scores = new Scorer(decoder, batch).score(sequences);
        for (int i = 0; i < scores.size(); i++) {
          var id = cases.get(i).get("id").asText();
          if (golden.names().contains(id + "/logprobs")) {
            Goldens.assertClose(
                name + " " + id,
                Goldens.floats(golden, id + "/logprobs"),
                scores.get(i).logprobs(),
                TOLERANCE);
          }
          Goldens.assertCloseRelative(
              name + " last logits of " + id,
              Goldens.floats(golden, id + "/last_logits"),
              scores.get(i).lastLogits(),
              TOLERANCE);
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"llama-gqa", "llama3-rope", "llama-bias", "llama-sharded", "llama-legacy"})
  void hiddenStatesAtEveryLayer(String name) {
    var folder = Goldens.path("model/" + name);
    var cases = Goldens.json(folder.resolve("cases.json")).get("cases");
    try (var decoder = Decoder.load(folder);
        var golden = Safetensors.open(folder.resolve("golden.safetensors"))) {
      for (var one : cases) {
        int[] ids = Goldens.ints(one.get("tokens"));
        var seen = hiddenStates(decoder, ids);
        assertEquals(decoder.architecture().layers() + 1, seen.size());
        seen.forEach(
            (layer, values) -> {
              var key = one.get("id").asText() + "/hidden/" + layer;
              Goldens.assertCloseRelative(
                  name + " " + key, Goldens.floats(golden, key), values, TOLERANCE);
            });
      }
    }
  }

  private static Map<Integer, float[]> hiddenStates(Decoder decoder, int[] ids) {
    var seen = new HashMap<Integer, float[]>();
    var tap =
        new Tap() {
          @Override
          public boolean wants(Site site) {
            return site.kind() == Site.Kind.BLOCK_INPUT;
          }

          @Override
          public Tensor at(Site site, Tensor hidden) {
            seen.put(site.layer(), Tensors.floats(hidden));
            return hidden;
          }
        };
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      long[] row = java.util.Arrays.stream(ids).asLongStream().toArray();
      decoder.forward(
          Tokens.rightPadded(Tensors.of(row, 1, row.length)), AdapterMode.ON, List.of(tap));
    }
    return seen;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"llama-gqa", "llama3-rope", "llama-bias", "llama-sharded", "llama-legacy"})
  void greedyDecodingAloneAndLeftPadded(String name) {
    var folder = Goldens.path("model/" + name);
    var golden = Goldens.json(folder.resolve("cases.json"));
    var settings = Generation.greedy(golden.get("new_tokens").asInt(), Set.of());
    try (var decoder = Decoder.load(folder)) {
      var prompts = new ArrayList<int[]>();
      golden.get("cases").forEach(one -> prompts.add(Goldens.ints(one.get("tokens"))));
      var alone = new Generator(decoder, Tap.NONE, 1).generate(prompts, settings);
      var together = new Generator(decoder, Tap.NONE, 16).generate(prompts, settings);
      for (int i = 0; i < prompts.size(); i++) {
        assertArrayEquals(
            Goldens.ints(golden.get("cases").get(i).get("greedy")), alone.get(i).ids());
        assertArrayEquals(Goldens.ints(golden.get("batch_greedy").get(i)), together.get(i).ids());
      }
    }
  }
}
