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
import io.holdfast.geometry.ConeTraining.Settings;
import io.holdfast.geometry.ConeTraining.Step;
import io.holdfast.model.Decoder;
import io.holdfast.model.Generation;
import io.holdfast.model.Generator;
import io.holdfast.model.Generator.Continuation;
import io.holdfast.model.Tap;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Trained directions: loss, gradient and steps are PyTorch's, and training does what it says. */
class ConeTrainingTest {
  private static final double TOLERANCE = 1e-4;
  private static final Settings SHORT = new Settings(3, 5e-2, 2, 6, 2, 5, 2, 4);

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private static JsonNode golden(String name) {
    return Goldens.json(Goldens.path("geometry/cone-" + name + ".json"));
  }

  private static Example prompt(JsonNode part) {
    int[] ids = Goldens.ints(part.get("prompt"));
    var place = new Place(Path.of("golden"), 1);
    return new Example("row", ids, new boolean[ids.length], -1, ids.length - 1, Float.NaN, place);
  }

  private static Example example(JsonNode part) {
    return prompt(part).answered(Goldens.ints(part.get("answer")));
  }

  private static List<ConeRow> rows(JsonNode golden) {
    var rows = new ArrayList<ConeRow>();
    for (var row : golden.get("rows")) {
      rows.add(
          new ConeRow(
              example(row.get("ablated")),
              example(row.get("added")),
              example(row.get("retained"))));
    }
    return rows;
  }

  private static double[] doubles(JsonNode array) {
    return IntStream.range(0, array.size()).mapToDouble(i -> array.get(i).asDouble()).toArray();
  }

  private static Basis basis(Safetensors file, String name) {
    float[] flat = Goldens.floats(file, name);
    int width = Math.toIntExact(file.get(name).sizes()[1]);
    var vectors = new double[flat.length / width][width];
    for (int i = 0; i < flat.length; i++) {
      vectors[i / width][i % width] = flat[i];
    }
    return new Basis(vectors);
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama-gqa", "gemma2"})
  void lossGradientAndStepsArePyTorchs(String name) {
    var golden = golden(name);
    var rows = rows(golden);
    try (var model = Decoder.load(Goldens.path("model/" + name));
        var expected = Safetensors.open(Goldens.path("geometry/cone-" + name + ".safetensors"))) {
      var loss =
          new ConeLoss(
              model,
              golden.get("slot").asInt(),
              golden.get("length").asDouble(),
              ConeLoss.Weights.PAPER);
      var moving = new ConeBasis(basis(expected, "basis/0"));
      double[] shares = doubles(golden.get("shares"));
      for (int step = 0; step < 3; step++) {
        try (var scope = Scope.open()) {
          var leaf = moving.leaf();
          for (int i = 0; i < shares.length; i++) {
            double[] point = doubles(golden.get("points").get(step).get(i));
            var terms = loss.addGradient(leaf, point, rows, shares[i]);
            if (step == 0) {
              assertClose(doubles(golden.get("terms").get(i)), terms);
            }
          }
          if (step == 0) {
            Goldens.assertCloseRelative(
                "gradient",
                Goldens.floats(expected, "gradient"),
                Tensors.floats(leaf.grad()),
                TOLERANCE);
          }
          moving.step(leaf.grad(), golden.get("lr").asDouble());
        }
        Goldens.assertCloseRelative(
            "basis after step " + step,
            Goldens.floats(expected, "basis/" + (step + 1)),
            floats(moving.basis()),
            TOLERANCE);
      }
    }
  }

  private static void assertClose(double[] expected, ConeLoss.Terms found) {
    assertEquals(expected[0], found.ablation(), TOLERANCE * expected[0], "ablation");
    assertEquals(expected[1], found.addition(), TOLERANCE * expected[1], "addition");
    assertEquals(expected[2], found.retain(), TOLERANCE * expected[2], "retain");
  }

  private static float[] floats(Basis basis) {
    double[] all = Stream.of(basis.vectors()).flatMapToDouble(DoubleStream::of).toArray();
    var floats = new float[all.length];
    for (int i = 0; i < all.length; i++) {
      floats[i] = (float) all[i];
    }
    return floats;
  }

  private static ConeTraining.Result train(Settings settings, Optional<double[]> start) {
    var golden = golden("llama-gqa");
    try (var model = Decoder.load(Goldens.path("model/llama-gqa"))) {
      return ConeTraining.run(
          model,
          golden.get("slot").asInt(),
          golden.get("length").asDouble(),
          rows(golden),
          start,
          settings,
          _ -> {});
    }
  }

  @Test
  void theLossFallsAndTheBasisStaysOrthonormal() {
    var result = train(SHORT, Optional.empty());
    var basis = result.basis();
    assertEquals(3, basis.rank());
    for (int i = 0; i < 3; i++) {
      for (int j = 0; j < 3; j++) {
        double dot = Vectors.dot(basis.vectors()[i], basis.vectors()[j]);
        assertEquals(i == j ? 1 : 0, dot, 1e-12);
      }
    }
    // Two vectors first, then three; three rows are one batch of two an epoch.
    assertEquals(
        List.of(2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3),
        result.steps().stream().map(Step::rank).toList());
    assertEquals(12, ConeTraining.steps(SHORT, 3));
    for (int rank = 2; rank <= 3; rank++) {
      int of = rank;
      var losses = result.steps().stream().filter(s -> s.rank() == of).map(Step::loss).toList();
      assertTrue(
          losses.stream().min(Comparator.naturalOrder()).orElseThrow() < losses.getFirst() - 0.05,
          rank + ": " + losses);
    }
  }

  @Test
  void theSameSeedTrainsTheSameDirections() {
    var other = new Settings(3, 5e-2, 2, 6, 2, 5, 2, 5);
    var once = train(SHORT, Optional.empty());
    assertArrayEquals(once.basis().vectors(), train(SHORT, Optional.empty()).basis().vectors());
    assertTrue(
        !Arrays.deepEquals(
            once.basis().vectors(), train(other, Optional.empty()).basis().vectors()));
  }

  /** With a rate that moves nothing: a best step, then five in vain at each of three rates. */
  @Test
  void trainingEndsWhenSmallerRatesDoNotHelp() {
    var start = new double[32];
    start[1] = 2;
    var result = train(new Settings(1, 1e-30, 3, 99, 8, 5, 2, 1), Optional.of(start));
    var rates = result.steps().stream().map(Step::rate).toList();
    assertEquals(1 + 3 * 5, rates.size(), rates.toString());
    assertEquals(6, rates.stream().filter(rate -> rate == 1e-30).count());
    assertEquals(1e-32, rates.getLast(), 1e-40);
    assertEquals(1, result.basis().vectors()[0][1], 1e-12);
  }

  /** Answers that do the opposite of what they should teach are left out. */
  @Test
  void rowsAreMadeOfWhatTheMeanDifferenceDoes() {
    var golden = golden("llama-gqa");
    int slot = golden.get("slot").asInt();
    var prompts = new ArrayList<Example>();
    golden.get("rows").forEach(row -> prompts.add(prompt(row.get("ablated"))));
    var vector = new double[32];
    vector[3] = 40;
    var carrier = new Carrier(vector);
    try (var model = Decoder.load(Goldens.path("model/llama-gqa"))) {
      var added = List.<Tap>of(Intervention.adding(vector, slot, Reach.ALL));
      var ids = prompts.stream().map(Example::ids).toList();
      var held =
          new Generator(model, added, 8)
              .generate(ids, Generation.greedy(30, Set.of())).stream()
                  .map(Continuation::ids)
                  .toList();
      var rows =
          ConeRow.of(model, prompts, prompts, carrier, slot, Set.of(), held(held.subList(1, 3)));
      assertEquals(2, rows.size(), "the first benign prompt is not refused");
      for (int i = 0; i < 2; i++) {
        assertArrayEquals(
            prompts.get(i + 1).answered(held.get(i + 1)).ids(), rows.get(i).added().ids());
        assertEquals(30, rows.get(i).ablated().supervised());
        assertEquals(prompts.get(i).promptEnd(), rows.get(i).ablated().promptEnd());
      }
      assertRefused("answer none of the harmful", () -> of(model, prompts, carrier, _ -> true));
      assertRefused("refuse none of the benign", () -> of(model, prompts, carrier, _ -> false));
    }
  }

  private static Predicate<int[]> held(List<int[]> answers) {
    return answer -> answers.stream().anyMatch(held -> Arrays.equals(held, answer));
  }

  private static List<ConeRow> of(
      Decoder model, List<Example> prompts, Carrier carrier, Predicate<int[]> refuses) {
    return ConeRow.of(model, prompts, prompts, carrier, 1, Set.of(), refuses);
  }

  private static void assertRefused(String why, Executable made) {
    var error = assertThrows(HoldfastException.class, made);
    assertTrue(error.getMessage().contains(why), error.getMessage());
  }
}
