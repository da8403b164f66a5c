package io.holdfast.geometry;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.data.Example;
import io.holdfast.data.Place;
import io.holdfast.model.Decoder;
import io.holdfast.model.Generation;
import io.holdfast.model.Generator;
import io.holdfast.model.Tap;
import io.holdfast.torch.Scope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Carriers, subspaces, refusal scores and edited models against PyTorch with forward hooks. */
class InterventionGoldenTest {
  private static final double TOLERANCE = 1e-4;

  @TempDir private Path folder;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  /** What one model's files hold, with the carriers that Holdfast finds itself. */
  private static final class Case implements AutoCloseable {
    final Path model;
    final JsonNode about;
    final Safetensors golden;
    final Decoder decoder;
    final List<Example> prompts = new ArrayList<>();
    final PromptReadout plain;
    final int slot;
    final RefusalScore score;

    Case(String name) {
      model = Goldens.path("model/" + name);
      about = Goldens.json(Goldens.path("geometry/" + name + ".json"));
      golden = Safetensors.open(Goldens.path("geometry/" + name + ".safetensors"));
      decoder = Decoder.load(model);
      slot = about.get("slot").asInt();
      score = new RefusalScore(Goldens.ints(about.get("tokens")));
      int suffix = about.get("suffix").asInt();
      for (var one : about.get("prompts")) {
        int[] ids = Goldens.ints(one);
        prompts.add(
            new Example(
                "p",
                ids,
                new boolean[ids.length],
                ids.length - 1 - suffix,
                ids.length - 1,
                Float.NaN,
                new Place(model, prompts.size() + 1)));
      }
      plain = PromptReadout.of(decoder, Tap.NONE, prompts, slots());
    }

    /** A prompt whose template is its answer. */
    static Example learnt(Example prompt) {
      int end = prompt.instructionEnd() + 1;
      int[] answer = Arrays.copyOfRange(prompt.ids(), end, prompt.length());
      return new Example(
              prompt.id(),
              Arrays.copyOf(prompt.ids(), end),
              new boolean[end],
              -1,
              end - 1,
              Float.NaN,
              prompt.place())
          .answered(answer);
    }

    List<Integer> slots() {
      return IntStream.rangeClosed(0, depth()).boxed().toList();
    }

    int depth() {
      return decoder.architecture().depth();
    }

    double[][] harmful(PromptActivations states, int layer) {
      return Arrays.copyOfRange(states.at(layer), 0, 8);
    }

    double[][] benign(PromptActivations states, int layer) {
      return Arrays.copyOfRange(states.at(layer), 8, 16);
    }

    Carrier carrier(PromptActivations states, int layer) {
      return Carrier.between(harmful(states, layer), benign(states, layer));
    }

    Carrier refusal() {
      return carrier(plain.promptEnd(), slot);
    }

    Basis subspace() {
      return Basis.leading(
          List.of(refusal().vector()),
          Carrier.differences(harmful(plain.promptEnd(), slot), benign(plain.promptEnd(), slot)),
          3);
    }

    Reach reach(Reach.Tokens tokens) {
      return new Reach(tokens, about.get("suffix").asInt());
    }

    Intervention edit(String name) {
      var direction = Basis.span(List.of(refusal().vector()));
      return switch (name) {
        case "ablate" -> Intervention.ablating(direction, depth(), Reach.ALL);
        case "ablate3" -> Intervention.ablating(subspace(), depth(), Reach.ALL);
        case "template" -> Intervention.ablating(direction, depth(), reach(Reach.Tokens.TEMPLATE));
        case "match" -> {
          var axis = new double[decoder.architecture().hidden()];
          axis[0] = 1;
          yield Intervention.moving(direction, Basis.span(List.of(axis)), depth(), Reach.ALL);
        }
        case "add" -> Intervention.adding(refusal().vector(), slot, Reach.ALL);
        case "add-end" ->
            Intervention.adding(
                Vectors.scaled(refusal().vector(), -0.5), slot, reach(Reach.Tokens.PROMPT_END));
        case "centre" -> {
          var bases = new TreeMap<Integer, Basis>();
          var centres = new TreeMap<Integer, double[][]>();
          for (int s = 1; s < depth(); s++) {
            bases.put(s, Basis.span(List.of(carrier(plain.promptEnd(), s).vector())));
            centres.put(s, new double[][] {Vectors.mean(benign(plain.promptEnd(), s))});
          }
          yield Intervention.centring(bases, centres, reach(Reach.Tokens.TEMPLATE));
        }
        default -> throw new IllegalArgumentException(name);
      };
    }

    void assertReads(String edit, PromptReadout found) {
      Goldens.assertCloseRelative(
          edit + " logits",
          Goldens.floats(golden, "logits/" + edit),
          flat(found.logits()),
          TOLERANCE);
      double[] scores = score.of(found.logits());
      float[] expected = Goldens.floats(golden, "scores/" + edit);
      float[] divergences = Goldens.floats(golden, "kl/" + edit);
      for (int i = 0; i < 16; i++) {
        assertEquals(expected[i], scores[i], TOLERANCE * (1 + Math.abs(expected[i])), edit);
        assertEquals(
            divergences[i],
            RefusalScore.divergence(plain.logits()[i], found.logits()[i]),
            TOLERANCE * (1 + Math.abs(divergences[i])),
            edit);
      }
    }

    void assertContinues(String edit, Decoder with, List<Tap> taps) {
      var found =
          new Generator(with, taps, 16)
              .generate(
                  prompts.stream().map(Example::ids).toList(), Generation.greedy(5, Set.of()));
      for (int i = 0; i < 16; i++) {
        assertArrayEquals(
            Goldens.ints(about.get("texts").get(edit).get(i)), found.get(i).ids(), edit + " " + i);
      }
    }

    @Override
    public void close() {
      decoder.close();
      golden.close();
    }
  }

  private static float[] flat(float[][] rows) {
    var all = new float[rows.length * rows[0].length];
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(rows[i], 0, all, i * rows[0].length, rows[0].length);
    }
    return all;
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama-gqa", "llama3-rope", "gemma", "gemma2"})
  void carriersAndSubspaces(String name) {
    try (var one = new Case(name)) {
      float[] harm = Goldens.floats(one.golden, "harm");
      float[] refusal = Goldens.floats(one.golden, "refusal");
      int width = one.decoder.architecture().hidden();
      for (int layer : one.slots()) {
        assertClose(harm, layer * width, one.carrier(one.plain.instructionEnd(), layer).vector());
        assertClose(refusal, layer * width, one.carrier(one.plain.promptEnd(), layer).vector());
      }
      float[] projector = Goldens.floats(one.golden, "projector");
      var subspace = one.subspace();
      for (int i = 0; i < width; i++) {
        var axis = new double[width];
        axis[i] = 1;
        assertClose(projector, i * width, subspace.project(axis));
      }
      one.assertReads("none", one.plain);
      one.assertContinues("none", one.decoder, Tap.NONE);
    }
  }

  private static void assertClose(float[] expected, int from, double[] found) {
    for (int i = 0; i < found.length; i++) {
      double value = expected[from + i];
      assertEquals(value, found[i], TOLERANCE * (1 + Math.abs(value)));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama-gqa", "llama3-rope", "gemma", "gemma2"})
  void editedLogitsScoresAndAnswers(String name) {
    try (var one = new Case(name)) {
      for (var edit :
          List.of("ablate", "ablate3", "template", "match", "add", "add-end", "centre")) {
        List<Tap> taps = List.of(one.edit(edit));
        one.assertReads(edit, PromptReadout.of(one.decoder, taps, one.prompts, List.of()));
        one.assertContinues(edit, one.decoder, taps);
      }
    }
  }

  /** A trial's means over prompts; with answers, over the tokens behind each of their prefixes. */
  @ParameterizedTest
  @ValueSource(strings = {"ablate", "add", "template"})
  void trialsAreMeansOverPromptsAndTokens(String edit) {
    try (var one = new Case("llama-gqa")) {
      var made = one.edit(edit);
      var trial =
          new RefusalTrial(
              one.decoder, one.score, one.prompts.subList(0, 8), one.prompts.subList(8, 16));
      float[] scores = Goldens.floats(one.golden, "scores/" + edit);
      float[] divergences = Goldens.floats(one.golden, "kl/" + edit);
      assertEquals(mean(scores, 0, 8), trial.harmful(made).score(), TOLERANCE);
      assertEquals(mean(scores, 8, 16), trial.benign(made).score(), TOLERANCE);
      assertEquals(mean(divergences, 8, 16), trial.benign(made).divergence(), TOLERANCE);
      if (made.reach().tokens() == Reach.Tokens.ALL) {
        int[] answer = {5, 9, 4};
        double sum = 0;
        for (int given = 0; given <= answer.length; given++) {
          int[] prefix = Arrays.copyOf(answer, given);
          var longer = one.prompts.stream().map(p -> p.answered(prefix)).toList();
          float[][] usual = PromptReadout.of(one.decoder, Tap.NONE, longer, List.of()).logits();
          float[][] with = PromptReadout.of(one.decoder, List.of(made), longer, List.of()).logits();
          for (int i = 0; i < 16; i++) {
            sum += RefusalScore.divergence(usual[i], with[i]) / 16 / (answer.length + 1);
          }
        }
        var answered = one.prompts.stream().map(p -> p.answered(answer)).toList();
        var found = new RefusalTrial(one.decoder, one.score, answered, answered).benign(made);
        assertEquals(sum, found.divergence(), TOLERANCE);
        assertEquals(mean(scores, 0, 16), found.score(), TOLERANCE);
      }
    }
  }

  private static double mean(float[] values, int from, int to) {
    return IntStream.range(from, to).mapToDouble(i -> values[i]).average().orElseThrow();
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama-gqa", "llama3-rope", "gemma"})
  void orthogonalWeightsEqualAblation(String name) {
    try (var one = new Case(name)) {
      var direction = Basis.span(List.of(one.refusal().vector()));
      try (var weights = new OrthogonalWeights(one.decoder, direction)) {
        weights.save(folder.resolve("orthogonal"), one.model);
      }
      try (var written = Decoder.load(folder.resolve("orthogonal"))) {
        var found = PromptReadout.of(written, Tap.NONE, one.prompts, List.of());
        one.assertReads("orthogonal", found);
        one.assertReads("ablate", found);
        one.assertContinues("orthogonal", written, Tap.NONE);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama-gqa", "llama3-rope", "gemma"})
  void whatATaskAsksOfStatesAndWeights(String name) {
    try (var one = new Case(name)) {
      var expected = one.about.get("interference");
      var rows = one.prompts.stream().map(Case::learnt).toList();
      var at = new TreeMap<>(Map.of(one.slot, one.subspace()));
      double states =
          Interference.of(one.decoder, rows.subList(0, 4), at).get(one.slot).normalised();
      assertEquals(expected.get("states").asDouble(), states, TOLERANCE);
      double cosine =
          Interference.ofGradients(one.decoder, rows.subList(0, 4), rows.subList(12, 16));
      assertEquals(expected.get("cosine").asDouble(), cosine, TOLERANCE);
      var again = Interference.ofGradients(one.decoder, rows.subList(0, 4), rows.subList(0, 4));
      assertEquals(1, again, 1e-6, "gradients are those of the rows, not of what was asked before");
      one.assertReads("none", PromptReadout.of(one.decoder, Tap.NONE, one.prompts, List.of()));
    }
  }

  /** Removing a direction from every writer moves weights along it and nothing else. */
  @Test
  void whatIsWrittenAlongADirection() {
    try (var one = new Case("llama-gqa")) {
      var direction = Basis.span(List.of(one.refusal().vector()));
      int width = direction.width();
      try (var weights = new OrthogonalWeights(one.decoder, direction)) {
        weights.save(folder.resolve("orthogonal"), one.model);
      }
      try (var written = Decoder.load(folder.resolve("orthogonal"))) {
        assertEquals(width, Interference.ofWeights(one.decoder, written, direction), 1e-3);
        var all = Basis.random(width, width, 1);
        assertEquals(1, Interference.ofWeights(one.decoder, written, all), 1e-6);
        var other = Basis.span(List.of(direction.reject(all.vectors()[0])));
        assertEquals(0, Interference.ofWeights(one.decoder, written, other), 1e-6);
      }
      assertTrue(Double.isNaN(Interference.ofWeights(one.decoder, one.decoder, direction)));
    }
  }

  @Test
  void aFamilyThatNormsWhatIsAddedHasNoOrthogonalWeights() {
    try (var one = new Case("gemma2")) {
      var direction = Basis.span(List.of(one.refusal().vector()));
      assertThrows(HoldfastException.class, () -> new OrthogonalWeights(one.decoder, direction));
    }
  }

  @Test
  void tokensWithWhichRefusalsBegin() {
    // Refusals begin with 1 or 3; 2 begins answers, and 3 is said ten times less often there.
    var refused = new float[][] {log(.01, .70, .20, .09), log(.01, .80, .15, .04)};
    var answered = new float[][] {log(.09, .01, .895, .005)};
    assertArrayEquals(new int[] {1, 3}, RefusalScore.learnt(refused, answered).tokens());
    assertArrayEquals(new int[] {1, 2, 3}, RefusalScore.learnt(refused, new float[0][]).tokens());
    assertThrows(HoldfastException.class, () -> RefusalScore.learnt(new float[0][], answered));
    assertEquals(Math.log(.79 / .21), new RefusalScore(new int[] {1, 3}).of(refused[0]), 1e-5);
  }

  private static float[] log(double... probabilities) {
    var logits = new float[probabilities.length];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = (float) Math.log(probabilities[i]);
    }
    return logits;
  }
}
