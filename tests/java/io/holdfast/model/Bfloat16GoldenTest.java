package io.holdfast.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.Goldens;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.kernels.DType;
import io.holdfast.text.StopStrings;
import io.holdfast.torch.Scope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Models in bfloat16, against two attention implementations of {@code transformers}. */
class Bfloat16GoldenTest {
  @TempDir Path folder;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  /** Root mean square of the differences. */
  private static double distance(List<float[]> a, List<float[]> b) {
    double sum = 0;
    int count = 0;
    for (int i = 0; i < a.size(); i++) {
      for (int j = 0; j < a.get(i).length; j++, count++) {
        double difference = a.get(i)[j] - b.get(i)[j];
        sum += difference * difference;
      }
    }
    return Math.sqrt(sum / count);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "llama-gqa",
        "llama3-rope",
        "mistral",
        "qwen2",
        "qwen3",
        "gemma",
        "gemma3",
        "phi3"
      })
  void logProbabilitiesLieWithinTheSpreadOfTwoAttentions(String name) {
    var model = Goldens.path("model/" + name);
    var eager = new ArrayList<float[]>();
    var fused = new ArrayList<float[]>();
    var exact = new ArrayList<float[]>();
    var ours = new ArrayList<float[]>();
    var sequences = new ArrayList<int[]>();
    try (var decoder = Decoder.load(model, DType.BFLOAT16);
        var golden = Safetensors.open(Goldens.path("bfloat16/golden.safetensors"))) {
      for (var one : Goldens.json(model.resolve("cases.json")).get("cases")) {
        var id = name + "/" + one.get("id").asText();
        if (golden.names().contains(id + "/eager")) {
          eager.add(Goldens.floats(golden, id + "/eager"));
          fused.add(Goldens.floats(golden, id + "/sdpa"));
          exact.add(Goldens.floats(golden, id + "/exact"));
          sequences.add(Goldens.ints(one.get("tokens")));
        }
      }
      new Scorer(decoder, 1).score(sequences).forEach(score -> ours.add(score.logprobs()));
    }
    // A spread of some hundred rounded values is itself known to about a tenth.
    double spread = distance(eager, fused);
    double nearest = Math.min(distance(ours, eager), distance(ours, fused));
    assertTrue(
        nearest <= 1.25 * spread,
        "%s: %.4f from the nearest, spread %.4f".formatted(name, nearest, spread));
    double rounding = Math.max(distance(eager, exact), distance(fused, exact));
    assertTrue(
        distance(ours, exact) <= 1.25 * rounding,
        "%s: %.4f from float32, theirs %.4f".formatted(name, distance(ours, exact), rounding));
  }

  /** The weights of a bfloat16 file are the file: nothing is copied. */
  @Test
  void weightsInTheTypeOfTheFileAreTheMappedFile() {
    var model = Goldens.path("model/llama-gqa");
    try (var rounded = Decoder.load(model, DType.BFLOAT16);
        var files = ModelFolder.open(model)) {
      var tensors =
          rounded.weights().all().entrySet().stream()
              .map(weight -> Weights.entry(weight.getKey(), weight.getValue()))
              .toList();
      var path = folder.resolve("narrow");
      ModelFolder.save(path, files.config(), tensors, model, ModelFolder.SHARD_BYTES);
      try (var opened = ModelFolder.open(path)) {
        var architecture = Architecture.of(opened.config(), path);
        try (var weights = Weights.mapped(opened, architecture, DType.BFLOAT16)) {
          weights
              .all()
              .forEach(
                  (name, tensor) ->
                      assertEquals(
                          opened.tensor(name).data().address(), tensor.data_ptr().address(), name));
        }
      }
      try (var stored = Decoder.loadAsStored(path);
          var wide = Decoder.loadAsStored(model)) {
        assertEquals(DType.BFLOAT16, stored.weights().dtype());
        assertEquals(DType.FLOAT32, wide.weights().dtype());
        var ids = List.of(new int[] {5, 17, 40, 9});
        assertEquals(
            new Scorer(rounded, 1).score(ids).getFirst().logprobs()[2],
            new Scorer(stored, 1).score(ids).getFirst().logprobs()[2]);
      }
    }
  }

  /** With a cache or without: the same tokens and nearly the same log-probabilities. */
  @Test
  void generationScoresItself() {
    try (var decoder = Decoder.load(Goldens.path("model/llama-gqa"), DType.BFLOAT16)) {
      var prompts = List.of(new int[] {5, 17, 40}, new int[] {9, 8, 7, 6, 5, 4, 3});
      var settings =
          new Generation(12, Set.of(), StopStrings.NONE, 1, new Generation.Sampling.Greedy(), true);
      var found = new Generator(decoder, Tap.NONE, 2).generate(prompts, settings);
      for (int i = 0; i < prompts.size(); i++) {
        int[] prompt = prompts.get(i);
        int[] whole = Arrays.copyOf(prompt, prompt.length + 12);
        System.arraycopy(found.get(i).ids(), 0, whole, prompt.length, 12);
        float[] scored = new Scorer(decoder, 1).score(List.of(whole)).getFirst().logprobs();
        Goldens.assertClose(
            "prompt " + i,
            Arrays.copyOfRange(scored, prompt.length - 1, scored.length),
            found.get(i).logprobs(),
            0.15);
      }
    }
  }
}
