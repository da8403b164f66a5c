package io.holdfast.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.Goldens;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The decoder against {@code transformers}, float32. */
class DecoderGoldenTest {
  private static final double TOLERANCE = 1e-4;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  /** Every folder that {@code tests/goldens/model.py} made. */
  static Stream<String> models() throws IOException {
    try (var folders = Files.list(Goldens.path("model"))) {
      return folders.map(folder -> folder.getFileName().toString()).sorted().toList().stream();
    }
  }

  @ParameterizedTest
  @MethodSource("models")
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
  @MethodSource("models")
  void hiddenStatesAtEveryLayer(String name) {
    var folder = Goldens.path("model/" + name);
    var cases = Goldens.json(folder.resolve("cases.json")).get("cases");
    try (var decoder = Decoder.load(folder);
        var golden = Safetensors.open(folder.resolve("golden.safetensors"))) {
      for (var one : cases) {
        int[] ids = Goldens.ints(one.get("tokens"));
        var seen = hiddenStates(decoder, ids);
        assertEquals(decoder.architecture().depth() + 1, seen.size());
        seen.forEach(
            (layer, values) -> {
              var key = one.get("id").asText() + "/hidden/" + layer;
              Goldens.assertCloseRelative(
                  name + " " + key, Goldens.floats(golden, key), values, TOLERANCE);
            });
      }
    }
  }

  @ParameterizedTest
  @MethodSource("models")
  void hiddenStatesPaddedOnTheLeft(String name) {
    var folder = Goldens.path("model/" + name);
    var cases = Goldens.json(folder.resolve("cases.json")).get("cases");
    try (var decoder = Decoder.load(folder);
        var golden = Safetensors.open(folder.resolve("golden.safetensors"))) {
      int border = decoder.architecture().shortPositions();
      var rows = new ArrayList<JsonNode>();
      cases.forEach(one -> rows.add(one));
      rows.removeIf(one -> one.get("tokens").size() <= border && border < Integer.MAX_VALUE);
      int width = rows.stream().mapToInt(one -> one.get("tokens").size()).max().orElseThrow();
      var seen = leftPadded(decoder, rows, width);
      int d = decoder.architecture().hidden();
      for (int r = 0; r < rows.size(); r++) {
        int length = rows.get(r).get("tokens").size();
        for (int layer = 0; layer <= decoder.architecture().depth(); layer++) {
          int end = (r + 1) * width * d;
          var key = rows.get(r).get("id").asText() + "/hidden/" + layer;
          Goldens.assertCloseRelative(
              name + " " + key,
              Goldens.floats(golden, key),
              Arrays.copyOfRange(seen.get(layer), end - length * d, end),
              TOLERANCE);
        }
      }
    }
  }

  private static Map<Integer, float[]> leftPadded(Decoder decoder, List<JsonNode> rows, int width) {
    var ids = new long[rows.size() * width];
    var positions = new long[rows.size() * width];
    var mask = new boolean[rows.size() * width * width];
    for (int r = 0; r < rows.size(); r++) {
      int[] tokens = Goldens.ints(rows.get(r).get("tokens"));
      int pad = width - tokens.length;
      for (int t = 0; t < width; t++) {
        ids[r * width + t] = t < pad ? 0 : tokens[t - pad];
        positions[r * width + t] = Math.max(0, t - pad);
        for (int s = 0; s <= t; s++) {
          mask[(r * width + t) * width + s] = s >= pad || s == t;
        }
      }
    }
    try (var scope = Scope.open()) {
      return hiddenStates(
          decoder,
          new Tokens(
              Tensors.of(ids, rows.size(), width),
              Tensors.of(positions, rows.size(), width),
              Tensors.of(mask, rows.size(), 1, width, width),
              null));
    }
  }

  private static Map<Integer, float[]> hiddenStates(Decoder decoder, int[] ids) {
    try (var scope = Scope.open()) {
      long[] row = Arrays.stream(ids).asLongStream().toArray();
      return hiddenStates(decoder, Tokens.rightPadded(Tensors.of(row, 1, row.length)));
    }
  }

  private static Map<Integer, float[]> hiddenStates(Decoder decoder, Tokens tokens) {
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
      decoder.forward(tokens, AdapterMode.ON, List.of(tap));
    }
    return seen;
  }

  @ParameterizedTest
  @MethodSource("models")
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
        // transformers lets the longest row of a batch choose the frequencies of all; here a row's
        // continuation does not depend on its company.
        boolean twofold = decoder.architecture().shortPositions() < Integer.MAX_VALUE;
        assertArrayEquals(
            Goldens.ints(
                twofold
                    ? golden.get("cases").get(i).get("greedy")
                    : golden.get("batch_greedy").get(i)),
            together.get(i).ids());
      }
    }
  }
}
