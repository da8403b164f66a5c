package io.holdfast.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.Goldens;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.text.StopStrings;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** What is made of the logits, against {@code transformers.generate}. */
class DecodingGoldenTest {
  private static final JsonNode CASES = Goldens.json(Goldens.path("decoding/cases.json"));

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  @TestFactory
  List<DynamicTest> distributions() {
    return CASES
        .get("distributions")
        .valueStream()
        .map(one -> DynamicTest.dynamicTest(one.get("id").asText(), () -> distribution(one)))
        .toList();
  }

  private static void distribution(JsonNode one) {
    var settings = one.get("settings");
    var random =
        new Generation.Sampling.Random(
            settings.path("temperature").asDouble(1),
            settings.path("top_k").asInt(0),
            settings.path("top_p").asDouble(1),
            settings.path("min_p").asDouble(0),
            0);
    double penalty = settings.path("repetition_penalty").asDouble(1);
    int[] prompt = Goldens.ints(one.get("tokens"));
    int[] added = Goldens.ints(one.get("new"));
    try (var decoder = Decoder.load(Goldens.path("model/" + one.get("model").asText()));
        var golden = Safetensors.open(Goldens.path("decoding/golden.safetensors"))) {
      float[] expected = Goldens.floats(golden, one.get("id").asText());
      int vocabulary = decoder.architecture().vocabulary();
      for (int step = 0; step < added.length; step++) {
        int[] before = Arrays.copyOf(prompt, prompt.length + step);
        System.arraycopy(added, 0, before, prompt.length, step);
        float[] logits = new Scorer(decoder, 1).score(List.of(before)).getFirst().lastLogits();
        var actual = probabilities(logits, before, penalty, random);
        var row = Arrays.copyOfRange(expected, step * vocabulary, (step + 1) * vocabulary);
        Goldens.assertClose(one.get("id") + " step " + step, row, actual, 2e-5);
        for (int id = 0; id < vocabulary; id++) {
          assertEquals(row[id] > 0, actual[id] > 0, "step " + step + ": whether " + id + " is cut");
        }
      }
    }
  }

  private static float[] probabilities(
      float[] logits, int[] before, double penalty, Generation.Sampling.Random random) {
    try (var scope = Scope.open()) {
      var said = new boolean[logits.length];
      for (int id : before) {
        said[id] = true;
      }
      var penalised =
          Decoding.penalised(
              Tensors.of(logits, 1, logits.length), Tensors.of(said, 1, logits.length), penalty);
      var candidates = Candidates.of(penalised, random);
      float[] weights = Tensors.floats(candidates.weights());
      double total = 0;
      for (float weight : weights) {
        total += weight;
      }
      long[] ids = candidates.ids() == null ? null : Tensors.longs(candidates.ids());
      var probabilities = new float[logits.length];
      for (int i = 0; i < weights.length; i++) {
        probabilities[ids == null ? i : (int) ids[i]] = (float) (weights[i] / total);
      }
      return probabilities;
    }
  }

  /** All rows of a model with the same settings together, left-padded, and each alone. */
  @Test
  void greedyWithPenaltyAndStops() {
    int seen = 0;
    for (var one : CASES.get("greedy")) {
      var stops = Arrays.stream(Goldens.ints(one.get("stops"))).boxed().collect(Collectors.toSet());
      var settings = penalised(one.get("penalty").asDouble(), stops, true);
      int[] prompt = Goldens.ints(one.get("tokens"));
      int[] expected = Goldens.ints(one.get("new"));
      try (var decoder = Decoder.load(Goldens.path("model/" + one.get("model").asText()))) {
        // Companions of other lengths, one of which is padding for it and one padded by it.
        var company = List.of(prompt, new int[] {11}, Arrays.copyOf(prompt, 2 * prompt.length));
        for (var prompts : List.of(List.of(prompt), company)) {
          var found = new Generator(decoder, Tap.NONE, 3).generate(prompts, settings).getFirst();
          assertArrayEquals(expected, found.ids(), one + " among " + prompts.size());
          assertEquals(!stops.isEmpty(), found.stopped());
        }
      }
      seen += stops.isEmpty() ? 0 : 1;
    }
    assertTrue(seen > 5, "the goldens end too few rows");
  }

  private static Generation penalised(double penalty, Set<Integer> stops, boolean logprobs) {
    return new Generation(
        24, stops, StopStrings.NONE, penalty, new Generation.Sampling.Greedy(), logprobs);
  }

  /** The model's own log-probabilities, whatever penalty and sampling made of them. */
  @Test
  void logprobsOfWhatWasGeneratedAreTheScorers() {
    var prompts =
        List.of(
            new int[] {5, 17, 40}, new int[] {3}, new int[] {9, 8, 7, 6, 5, 4, 3}, new int[] {60});
    try (var decoder = Decoder.load(Goldens.path("model/llama-gqa"))) {
      var greedy =
          new Generator(decoder, Tap.NONE, 4).generate(prompts, penalised(1.3, Set.of(), true));
      int stop = greedy.get(1).ids()[4];
      var random =
          new Generation(
              30,
              Set.of(stop),
              StopStrings.NONE,
              1.1,
              new Generation.Sampling.Random(1.5, 20, 0.95, 0, 3),
              true);
      var drawn = new Generator(decoder, Tap.NONE, 4).generate(prompts, random);
      for (var continued : List.of(greedy, drawn)) {
        for (int i = 0; i < prompts.size(); i++) {
          int[] prompt = prompts.get(i);
          int[] whole =
              IntStream.concat(Arrays.stream(prompt), Arrays.stream(continued.get(i).ids()))
                  .toArray();
          float[] scored = new Scorer(decoder, 1).score(List.of(whole)).getFirst().logprobs();
          Goldens.assertClose(
              "prompt " + i,
              Arrays.copyOfRange(scored, prompt.length - 1, scored.length),
              continued.get(i).logprobs(),
              1e-4);
        }
      }
    }
  }
}
