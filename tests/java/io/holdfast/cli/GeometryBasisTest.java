package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.ExitCode;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.geometry.Basis;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.torch.Scope;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * {@code geometry intervene --basis} on a model whose answers follow from the state of the last
 * token alone: what an intervention makes of that state is known, and so is every number.
 */
class GeometryBasisTest {
  private static final int D = PlantedModel.WIDTH;
  private static final int EACH = 16;
  private static final int SEED = 5;
  private static final double CLOSED_FORM = 1e-5;
  private static final double[] HARMFUL = state(1.5, 1.25);
  private static final double[] BENIGN = state(-1.5, -1.25);

  /** The first turns the answer; the second lies half along what makes the model comply. */
  private static final Basis TURNS = Basis.span(List.of(axis(1, 1), sum(axis(9, 1), axis(3, 1))));

  private static final Basis IDLE = Basis.span(List.of(axis(12, 1), axis(13, 1)));
  private static final double LENGTH = 2.5;

  @TempDir private Path folder;
  private Path model;
  private int refuse;
  private int comply;

  private static double[] axis(int i, double length) {
    var axis = new double[D];
    axis[i] = length;
    return axis;
  }

  private static double[] sum(double[] a, double[] b) {
    return IntStream.range(0, D).mapToDouble(i -> a[i] + b[i]).toArray();
  }

  private static double[] times(double factor, double[] x) {
    return Arrays.stream(x).map(value -> factor * value).toArray();
  }

  private static double[] state(double harm, double refusal) {
    return sum(axis(9, 5), sum(axis(0, harm), axis(1, refusal)));
  }

  /** Two kinds of prompts, and two tokens to answer with: one along axis 1, one along axis 9. */
  @BeforeEach
  void plant() throws IOException {
    var words = PlantedModel.Words.of(4);
    refuse = words.ids().get(2);
    comply = words.ids().get(3);
    var embeddings = new HashMap<Integer, double[]>();
    embeddings.put(words.ids().get(0), HARMFUL);
    embeddings.put(words.ids().get(1), BENIGN);
    model =
        PlantedModel.write(
            folder.resolve("model"), embeddings, Map.of(refuse, axis(1, 9), comply, axis(9, 0.1)));
    var none = Collections.nCopies(EACH, "other");
    PlantedModel.prompts(
        folder.resolve("harmful.jsonl"), Collections.nCopies(EACH, words.texts().get(0)), none);
    PlantedModel.prompts(
        folder.resolve("benign.jsonl"), Collections.nCopies(EACH, words.texts().get(1)), none);
    Files.writeString(
        folder.resolve("phrases.yaml"),
        "caseSensitive: true\nphrases: [%s]\n".formatted(words.texts().get(2)));
    Files.writeString(
        folder.resolve("suite.yaml"),
        """
        max_new_tokens: 1
        judge: phrases.yaml
        sets:
          harmful: {file: harmful.jsonl, measure: asr}
          benign: {file: benign.jsonl, measure: over_refusal}
        """);
  }

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private String hash() {
    try (var files = ModelFolder.open(model)) {
      return files.hash();
    }
  }

  private Path file(Map<Integer, Basis> layers, String modelHash, Map<String, String> about) {
    var bases = new TreeMap<Integer, double[][]>();
    var scales = new TreeMap<Integer, Double>();
    layers.forEach(
        (layer, basis) -> {
          var columns = new double[D][basis.rank()];
          for (int i = 0; i < D; i++) {
            for (int k = 0; k < basis.rank(); k++) {
              columns[i][k] = basis.vectors()[k][i];
            }
          }
          bases.put(layer, columns);
          scales.put(layer, LENGTH * LENGTH);
        });
    var file = folder.resolve("basis.safetensors");
    try (var subspace = new SafetySubspace(bases, scales, modelHash)) {
      subspace.save(file, about);
    }
    return file;
  }

  private Invocation intervene(String... more) {
    var arguments = new ArrayList<>(List.of("geometry", "intervene", "--model", "" + model));
    arguments.addAll(List.of("--harmful", "" + folder.resolve("harmful.jsonl")));
    arguments.addAll(List.of("--benign", "" + folder.resolve("benign.jsonl")));
    arguments.addAll(List.of("--judge", "" + folder.resolve("phrases.yaml")));
    arguments.addAll(List.of("--suite", "" + folder.resolve("suite.yaml")));
    arguments.addAll(List.of("--refusal-tokens", "" + refuse, "--max-new-tokens", "1"));
    arguments.addAll(List.of("--seed", "" + SEED, "--quiet"));
    arguments.addAll(List.of(more));
    return Invocation.of(arguments.toArray(String[]::new));
  }

  private JsonNode result(String... more) throws IOException {
    var output = folder.resolve("out.json");
    var arguments = new ArrayList<>(List.of(more));
    arguments.addAll(List.of("--output", "" + output));
    var done = intervene(arguments.toArray(String[]::new));
    assertEquals(0, done.exitCode(), done.err());
    return new ObjectMapper().readTree(output.toFile());
  }

  private static UnaryOperator<double[]> without(Basis basis) {
    return basis::reject;
  }

  private static UnaryOperator<double[]> plus(double factor, double[] vector) {
    return x -> sum(x, times(factor, vector));
  }

  /** Once, where the embedding enters the stream, and not before each block again. */
  private static UnaryOperator<double[]> moved(Basis read, Basis written) {
    return x -> {
      double[] along = read.coefficients(x);
      var out = x;
      for (int k = 0; k < along.length; k++) {
        out = sum(out, times(-along[k], written.vectors()[k]));
      }
      return out;
    };
  }

  private static Basis random(int rank, int draw) {
    return Basis.random(D, rank, SEED + 7919L * draw);
  }

  /** The logits of both answers, the others' being 0. */
  private static double[] logits(double[] x) {
    double scale = Math.sqrt(Arrays.stream(x).map(v -> v * v).sum() / D + 1e-6);
    return new double[] {9 * x[1] / scale, 0.1 * x[9] / scale};
  }

  /** Probabilities of refusing, of complying, and of each other token. */
  private static double[] probabilities(double[] x) {
    double[] z = logits(x);
    double all = Math.exp(z[0]) + Math.exp(z[1]) + PlantedModel.VOCABULARY - 2;
    return new double[] {Math.exp(z[0]) / all, Math.exp(z[1]) / all, 1 / all};
  }

  private static double score(double[] x) {
    double p = probabilities(x)[0];
    return Math.log(p + 1e-8) - Math.log(1 - p + 1e-8);
  }

  private static double divergence(double[] before, double[] now) {
    double[] p = probabilities(before);
    double[] q = probabilities(now);
    double sum = 0;
    for (int i = 0; i < 3; i++) {
      double count = i < 2 ? 1 : PlantedModel.VOCABULARY - 2;
      sum += count * p[i] * Math.log((p[i] + 1e-6) / (q[i] + 1e-6));
    }
    return sum;
  }

  private static double refuses(double[] x) {
    double[] z = logits(x);
    return z[0] > Math.max(0, z[1]) ? 1 : 0;
  }

  /** Every effect is one of those expected, and every one expected is there. */
  private static void assertEffects(Map<String, UnaryOperator<double[]>> expected, JsonNode all) {
    var names = all.get("effects").findValuesAsText("intervention");
    assertEquals(expected.keySet(), new HashSet<>(names));
    assertSome(expected, all);
  }

  private static void assertSome(Map<String, UnaryOperator<double[]>> expected, JsonNode all) {
    var found = new HashSet<String>();
    for (var effect : all.get("effects")) {
      var name = effect.get("intervention").asText();
      if (!expected.containsKey(name)) {
        continue;
      }
      assertTrue(found.add(name), "twice: " + name);
      double[] harmful = expected.get(name).apply(HARMFUL);
      double[] benign = expected.get(name).apply(BENIGN);
      assertEquals(score(harmful), effect.get("score_harmful").asDouble(), CLOSED_FORM, name);
      assertEquals(score(benign), effect.get("score_benign").asDouble(), CLOSED_FORM, name);
      assertEquals(divergence(BENIGN, benign), effect.get("kl").asDouble(), CLOSED_FORM, name);
      assertEquals(1 - refuses(harmful), effect.at("/asr/value").asDouble(), name);
      assertEquals(refuses(benign), effect.at("/over_refusal/value").asDouble(), name);
    }
    assertEquals(expected.keySet(), found);
  }

  @Test
  void whatAFileHoldsIsRemovedAndAddedBesideItsControls() throws Exception {
    var file = file(Map.of(0, IDLE, 1, TURNS), hash(), Map.of());
    var exported = folder.resolve("orthogonal");
    var all =
        result(
            "--basis",
            "" + file,
            "--layer",
            "1",
            "--random",
            "2",
            "--coefficients",
            "0.5,2",
            "--sweep-layers",
            "--export",
            "" + exported);
    double[] first = TURNS.vectors()[0];
    double[] idle = IDLE.vectors()[0];
    var ablate = "ablate basis at 1, all tokens";
    var add = "add +1.0 basis at 1, all tokens";
    var expected = new LinkedHashMap<String, UnaryOperator<double[]>>();
    expected.put("none", x -> x);
    expected.put(ablate, without(TURNS));
    expected.put(add, plus(LENGTH, first));
    for (int draw = 1; draw <= 2; draw++) {
      expected.put(ablate + "; random " + draw, without(random(2, draw)));
      expected.put(ablate + "; matched " + draw, moved(TURNS, random(2, draw)));
      expected.put(add + "; random " + draw, plus(LENGTH, random(1, draw).vectors()[0]));
    }
    expected.put(ablate + "; wrong layer", without(IDLE));
    expected.put(add + "; wrong layer", plus(LENGTH, idle));
    expected.put("add +0.50 basis at 1, all tokens", plus(0.5 * LENGTH, first));
    expected.put("add +2.0 basis at 1, all tokens", plus(2 * LENGTH, first));
    expected.put("ablate basis at 0, all tokens", without(IDLE));
    expected.put("add +1.0 basis at 0, all tokens", plus(LENGTH, idle));
    assertEffects(expected, all);
    // The planted answers turn: what is asserted above is not that nothing happens.
    assertEquals(0, refuses(TURNS.reject(HARMFUL)));
    assertEquals(1, refuses(plus(LENGTH, first).apply(BENIGN)));
    var bypass = all.at("/selection/candidates/0");
    assertEquals(score(TURNS.reject(HARMFUL)), bypass.get("bypass").asDouble(), CLOSED_FORM);
    assertEquals(2, all.at("/basis/layers/1/rank").asInt());
    assertEquals(LENGTH, all.at("/basis/layers/1/length").asDouble(), 1e-12);
    assertArrayEquals(TURNS.reject(HARMFUL), embedding(exported, PlantedModel.Words.of(1)));
  }

  private static void assertArrayEquals(double[] expected, double[] found) {
    org.junit.jupiter.api.Assertions.assertArrayEquals(expected, found, CLOSED_FORM);
  }

  private static double[] embedding(Path model, PlantedModel.Words words) {
    try (var tensors = Safetensors.open(model.resolve("model.safetensors"))) {
      var data = tensors.get("model.embed_tokens.weight").data();
      long row = (long) words.ids().getFirst() * D;
      return IntStream.range(0, D)
          .mapToDouble(i -> data.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 4 * (row + i)))
          .toArray();
    }
  }

  /** Layers are tried where none is named, and the one that removes refusal is taken. */
  @Test
  void theLayerIsChosenByItsScores() throws Exception {
    var file = file(Map.of(0, IDLE, 1, TURNS), hash(), Map.of());
    var options = List.of("--basis", "" + file, "--deepest", "1", "--max-kl", "9");
    var all = result(options.toArray(String[]::new));
    assertEquals("ablate basis at 1, all tokens", all.at("/selection/removal").asText());
    assertEquals("add +1.0 basis at 1, all tokens", all.at("/selection/addition").asText());
    assertEquals(4, all.at("/selection/candidates").size());
  }

  /** They stand in the file for every layer, but were trained to be added at one. */
  @Test
  void trainedDirectionsAreAddedWhereAndAsLongAsTheyWereTrained() throws Exception {
    var fit = "{\"method\": \"trained\", \"training\": {\"layer\": 1, \"norm\": 4.0}}";
    var file = file(Map.of(0, TURNS), hash(), Map.of("fit", fit));
    var options =
        List.of("--basis", "" + file, "--vector", "2", "--random", "1", "--coefficients", "1");
    var all = result(options.toArray(String[]::new));
    var edge = new Basis(new double[][] {TURNS.vectors()[1]});
    var ablate = "ablate basis at 1, all tokens";
    var add = "add +1.0 basis at 1, all tokens";
    assertEffects(
        Map.of(
            "none",
            x -> x,
            ablate,
            without(edge),
            add,
            plus(4, edge.vectors()[0]),
            ablate + "; random 1",
            without(random(1, 1)),
            ablate + "; matched 1",
            moved(edge, random(1, 1)),
            add + "; random 1",
            plus(4, random(1, 1).vectors()[0])),
        all);
    assertEquals("trained", all.at("/basis/method").asText());
    assertRefused(
        ExitCode.USAGE, "no directions for layer 0", "--basis", "" + file, "--layer", "0");
  }

  /**
   * The same of what the prompts themselves show, where the template writes nothing behind them.
   */
  @Test
  void carriersOfThePromptsAreRemovedAndAdded() throws Exception {
    var options = List.of("--deepest", "1", "--random", "1", "--coefficients", "1");
    var all = result(options.toArray(String[]::new));
    double[] carrier = sum(HARMFUL, times(-1, BENIGN));
    var line = Basis.span(List.of(carrier));
    var random = random(1, 1);
    var ablate = "ablate r at 1, all tokens";
    var add = "add +1.0 r at 1, all tokens";
    assertSome(
        Map.of(
            ablate,
            without(line),
            "centre r, all tokens",
            x -> sum(line.reject(x), line.project(BENIGN)),
            "centre r, template tokens",
            x -> x,
            add,
            plus(1, carrier),
            add + "; random 1",
            plus(Math.sqrt(Arrays.stream(carrier).map(v -> v * v).sum()), random.vectors()[0])),
        all);
  }

  @Test
  void filesThatDoNotFitAreRefused() {
    var another = file(Map.of(1, TURNS), "of another", Map.of());
    assertRefused(ExitCode.INPUT, "fitted on another model", "--basis", "" + another);
    var weights = model.resolve("model.safetensors");
    assertRefused(ExitCode.INPUT, "not a safety subspace", "--basis", "" + weights);
    var nothing = folder.resolve("nothing.safetensors");
    assertRefused(ExitCode.INPUT, "no such file", "--basis", "" + nothing);
    var deep = file(Map.of(1, TURNS, 7, IDLE), hash(), Map.of());
    assertRefused(ExitCode.INPUT, "the model ends at layer 2", "--basis", "" + deep);
    var broken = file(Map.of(1, TURNS), hash(), Map.of("fit", "{"));
    assertRefused(ExitCode.INPUT, "'fit' in its metadata is not JSON", "--basis", "" + broken);
    var file = file(Map.of(0, IDLE, 1, TURNS), hash(), Map.of());
    assertRefused(ExitCode.USAGE, "it has them for [0, 1]", "--basis", "" + file, "--layer", "2");
    assertRefused(ExitCode.USAGE, "it has 1 to 2", "--basis", "" + file, "--vector", "3");
    assertRefused(ExitCode.USAGE, "--inversion:", "--basis", "" + file, "--inversion", "2");
    assertRefused(ExitCode.USAGE, "--layer: is for --basis", "--layer", "1");
  }

  private void assertRefused(ExitCode code, String why, String... options) {
    var done = intervene(options);
    assertEquals(code.code(), done.exitCode(), done.err());
    assertTrue(done.err().contains(why), done.err());
  }
}
