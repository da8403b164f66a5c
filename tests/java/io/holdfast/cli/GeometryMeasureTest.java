package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.ExitCode;
import io.holdfast.geometry.Basis;
import io.holdfast.geometry.Coupling;
import io.holdfast.torch.Scope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * {@code geometry measure} on models with known carriers and angles: every number it writes is its
 * closed form, and on random ones it sits at chance.
 */
class GeometryMeasureTest {
  private static final int D = PlantedModel.WIDTH;
  private static final double CLOSED_FORM = 1e-5;
  private static final int REFUSAL = 7;
  private static final int EACH = 16;

  @TempDir private Path folder;
  private List<String> words;
  private List<Integer> ids;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  @BeforeEach
  void findWords() {
    var found = PlantedModel.Words.of(64);
    words = found.texts();
    ids = found.ids();
  }

  private static double[] axis(int i, double length) {
    var axis = new double[D];
    axis[i] = length;
    return axis;
  }

  private static double[] sum(double a, double[] x, double b, double[] y) {
    return IntStream.range(0, x.length).mapToDouble(i -> a * x[i] + b * y[i]).toArray();
  }

  private static double dot(double[] x, double[] y) {
    return IntStream.range(0, x.length).mapToDouble(i -> x[i] * y[i]).sum();
  }

  /** One token a cell, {@code centre +- h/2 +- r/2}, so that the carriers are h and r exactly. */
  private Path planted(String name, double[] h, double[] r) throws IOException {
    var embeddings = new HashMap<Integer, double[]>();
    for (int cell = 0; cell < 4; cell++) {
      var x = sum(cell < 2 ? .5 : -.5, h, cell % 2 == 0 ? .5 : -.5, r);
      embeddings.put(ids.get(cell), sum(1, x, 1, axis(9, 5)));
    }
    return PlantedModel.write(
        folder.resolve(name), embeddings, Map.of(REFUSAL, sum(2 / norm(r), r, 0, r)));
  }

  private static double norm(double[] x) {
    return Math.sqrt(dot(x, x));
  }

  private Path prompts(String name, int refused, int complied) throws IOException {
    var said = new ArrayList<>(Collections.nCopies(EACH, words.get(refused)));
    said.addAll(Collections.nCopies(EACH, words.get(complied)));
    var replies = new ArrayList<>(Collections.nCopies(EACH, "refused"));
    replies.addAll(Collections.nCopies(EACH, "complied"));
    return PlantedModel.prompts(folder.resolve(name), said, replies);
  }

  private Invocation run(Path model, Path harmful, Path benign, String... more) {
    var arguments = new ArrayList<>(List.of("geometry", "measure", "--model", model.toString()));
    arguments.addAll(List.of("--harmful", harmful.toString(), "--benign", benign.toString()));
    arguments.addAll(List.of(more));
    return Invocation.of(arguments.toArray(String[]::new));
  }

  /** With the labels of the files. */
  private Invocation runLabelled(Path model, Path harmful, Path benign, String... more) {
    var arguments = new ArrayList<>(List.of("--labels", "file", "--draws", "20"));
    arguments.addAll(List.of(more));
    if (!arguments.contains("--refusal-tokens")) {
      arguments.addAll(List.of("--refusal-tokens", REFUSAL + ""));
    }
    return run(model, harmful, benign, arguments.toArray(String[]::new));
  }

  private JsonNode measured(Path model, Path harmful, Path benign, String... more)
      throws IOException {
    var output = folder.resolve("out.json");
    var arguments = new ArrayList<>(List.of("--output", output.toString()));
    arguments.addAll(List.of(more));
    var done = runLabelled(model, harmful, benign, arguments.toArray(String[]::new));
    assertEquals(0, done.exitCode(), done.err());
    return new ObjectMapper().readTree(output.toFile());
  }

  private static JsonNode figure(JsonNode all, String measure, int layer) {
    for (var figure : all.get("figures")) {
      if (figure.get("measure").asText().equals(measure)
          && figure.path("layer").asInt(-1) == layer) {
        return figure;
      }
    }
    throw new AssertionError(measure + " at " + layer + " in " + all);
  }

  private static void assertFigure(double expected, JsonNode all, String measure, int layer) {
    assertEquals(
        expected, figure(all, measure, layer).get("value").asDouble(), CLOSED_FORM, measure);
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.4, 1.1, Math.PI / 2})
  void couplingDriftAndShapesOfPlantedCarriers(double angle) throws Exception {
    var h = axis(0, 3);
    var r = sum(2 * Math.cos(angle), axis(0, 1), 2 * Math.sin(angle), axis(1, 1));
    var later = sum(2.5 * Math.cos(angle), axis(0, 1), 2.5 * Math.sin(angle), axis(2, 1));
    var reference = planted("before", h, r);
    var model = planted("after", h, later);
    var all =
        measured(
            model,
            prompts("harmful.jsonl", 0, 1),
            prompts("benign.jsonl", 2, 3),
            "--rank",
            "1",
            "--reference",
            reference.toString());
    double cos = Math.cos(angle);
    assertEquals(1, all.get("harm_layer").asInt());
    assertEquals(1, all.get("refusal_layer").asInt());
    assertFigure(cos, all, "c_cos", -1);
    assertFigure(cos * cos, all, "c_sub", -1);
    assertFigure(1, all, "c_layer", -1);
    assertFigure(.4 * cos + .4 * cos * cos + .2, all, "hrci", -1);
    assertFigure((cos + cos * cos) / 2, all, "hrci_repr", -1);
    assertEquals(1.0 / D, figure(all, "c_sub", -1).get("chance").asDouble(), 1e-12);
    assertEquals(
        Coupling.chanceCosine(D), figure(all, "c_cos", -1).get("chance").asDouble(), 1e-12);
    for (int layer = 0; layer <= 2; layer++) {
      assertFigure(cos, all, "cosine", layer);
      assertFigure(1, all, "auroc_harm", layer);
      // Where harm reaches further along r than refusal does, a pair in four is in the wrong order.
      assertFigure(dot(h, later) < 6.25 ? 1 : 0.75, all, "auroc_refusal", layer);
      assertFigure(3, all, "norm_harm", layer);
      assertFigure(2.5, all, "norm_refusal", layer);
      assertFigure(1.25, all, "refused_at", layer);
      assertFigure(-1.25, all, "complied_at", layer);
      assertFigure(0, all, "drift_harm", layer);
      assertFigure(1 - dot(r, later) / 5, all, "drift_refusal", layer);
    }
    assertFigure(0, all, "relocation", -1);
    assertFigure(Math.log(1.25), all, "magnitude", 1);
    var moved = sum(1, later, -1, r);
    assertFigure(Math.pow(dot(moved, r) / 2, 2) / dot(moved, moved), all, "safety_share", 1);
    assertFigure(Math.acos(dot(r, later) / 5), all, "subspace_angle", 1);
    assertCausal(all, h, later);
    if (cos > 1e-9) {
      assertFigure(1 / cos, all, "cross_projection", -1);
    } else {
      // Rays r +- h/2 around r; differences spread over the two axes.
      assertFigure(Math.atan(1.5 / 2.5), all, "cone_aperture", 1);
      assertFigure(2.5 / Math.hypot(2.5, 1.5), all, "cone_concentration", 1);
      double first = 2.5 * 2.5 / (2.5 * 2.5 + 1.5 * 1.5);
      assertFigure(
          Math.exp(-first * Math.log(first) - (1 - first) * Math.log(1 - first)),
          all,
          "effective_rank",
          1);
      assertFigure(1 / (first * first + (1 - first) * (1 - first)), all, "participation_ratio", 1);
    }
  }

  /** The refusal logit is what is read along r after the norm: its score under ablation follows. */
  private void assertCausal(JsonNode all, double[] h, double[] r) {
    var x = sum(1, sum(.5, h, .5, r), 1, axis(9, 5));
    double random = 0;
    for (int i = 0; i < 8; i++) {
      random += score(x, Basis.random(D, 1, 1 + i), r) / 8;
    }
    double withoutH = score(x, Basis.span(List.of(h)), r);
    double withoutR = score(x, Basis.span(List.of(r)), r);
    assertFigure(random - withoutH, all, "causal_effect_hr", -1);
    assertFigure(random - withoutR, all, "causal_own_effect_hr", -1);
    assertFigure((random - withoutH) / (random - withoutR), all, "causal_coupling_hr", -1);
    assertTrue(
        figure(all, "causal_coupling_rh", -1).path("value").isMissingNode()
            || Math.abs(figure(all, "causal_own_effect_rh", -1).get("value").asDouble()) >= .5,
        "no share of an effect that is not there");
  }

  private static double score(double[] x, Basis without, double[] r) {
    double[] left = without.reject(x);
    double logit = 2 / norm(r) * dot(r, left) / Math.sqrt(dot(left, left) / D + 1e-6);
    double p = Math.exp(logit) / (Math.exp(logit) + PlantedModel.VOCABULARY - 1);
    return Math.log(p + 1e-8) - Math.log(1 - p + 1e-8);
  }

  @Test
  void randomCarriersCoupleByChance() throws Exception {
    int runs = 10;
    double cosine = 0;
    double overlap = 0;
    for (int run = 0; run < runs; run++) {
      var random = new Random(run);
      var embeddings = new HashMap<Integer, double[]>();
      for (int id : ids) {
        embeddings.put(id, random.doubles(D, -1, 1).toArray());
      }
      var at = Files.createDirectory(folder.resolve("run" + run));
      var model = PlantedModel.write(at.resolve("model"), embeddings, Map.of());
      var replies = IntStream.range(0, 32).mapToObj(i -> i < 16 ? "refused" : "complied").toList();
      var harmful = PlantedModel.prompts(at.resolve("h.jsonl"), words.subList(0, 32), replies);
      var benign = PlantedModel.prompts(at.resolve("b.jsonl"), words.subList(32, 64), replies);
      var all = measured(model, harmful, benign, "--rank", "3");
      cosine += figure(all, "c_cos", -1).get("value").asDouble() / runs;
      overlap += figure(all, "c_sub_1", -1).get("value").asDouble() / runs;
    }
    double chance = Coupling.chanceCosine(D);
    // |cos| of a random pair deviates by sqrt(1/d - chance^2), cos^2 by about sqrt(2)/d.
    double deviation = Math.sqrt(1.0 / D - chance * chance);
    assertEquals(chance, cosine, 4 * deviation / Math.sqrt(runs));
    assertEquals(1.0 / D, overlap, 4 * Math.sqrt(2) / D / Math.sqrt(runs));
  }

  @Test
  void whatCannotBeMeasuredIsRefused() throws Exception {
    var model = planted("model", axis(0, 3), axis(1, 2));
    var harmful = prompts("harmful.jsonl", 0, 1);
    var benign = prompts("benign.jsonl", 2, 3);
    assertRefused(
        ExitCode.INPUT,
        "too few for subspaces of rank 40",
        runLabelled(model, harmful, benign, "--rank", "40"));
    var one =
        PlantedModel.prompts(
            folder.resolve("one.jsonl"),
            Collections.nCopies(20, words.get(0)),
            Collections.nCopies(20, "refused"));
    assertRefused(ExitCode.INPUT, "of one class only", runLabelled(model, one, one));
    var odd =
        PlantedModel.prompts(folder.resolve("odd.jsonl"), words.subList(0, 1), List.of("perhaps"));
    assertRefused(ExitCode.INPUT, "it is perhaps", runLabelled(model, odd, benign));
    assertRefused(
        ExitCode.INPUT,
        "of another architecture",
        runLabelled(model, harmful, benign, "--reference", "tests/goldens/model/llama-gqa"));
    assertRefused(
        ExitCode.USAGE,
        "vocabulary ends at 1460",
        runLabelled(model, harmful, benign, "--refusal-tokens", "1461"));
    // A model that answers nothing like a refusal has no refusal tokens of its own to be found by.
    assertRefused(
        ExitCode.INPUT, "--refusal-tokens", run(model, harmful, benign, "--max-new-tokens", "2"));
  }

  private static void assertRefused(ExitCode code, String why, Invocation done) {
    assertEquals(code.code(), done.exitCode(), done.err());
    assertTrue(done.err().contains(why), done.err());
  }
}
