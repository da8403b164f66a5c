package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.risk.FakeJudge;
import io.holdfast.risk.LogisticProbe;
import io.holdfast.risk.RiskPredictor;
import io.holdfast.text.Position;
import io.holdfast.torch.Scope;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Runs whose risk comes from a critic or a predictor. */
class RiskSourceRunTest {
  private static FakeJudge judge;

  @TempDir Path folder;
  private TinyRun tiny;

  @BeforeAll
  static void start() {
    judge = FakeJudge.start();
  }

  @AfterAll
  static void stop() {
    judge.close();
  }

  /** Of 13 rows every third speaks of lightning. */
  @BeforeEach
  void prepare() {
    tiny = TinyRun.in(folder);
    var rows = new ArrayList<String>();
    int number = 0;
    for (var row : Goldens.lines(folder.resolve("chats.jsonl"))) {
      boolean dangerous = number++ % 3 == 0;
      var marked = (ObjectNode) row;
      marked.put("prompt", row.get("prompt").asText() + (dangerous ? " lightning" : ""));
      marked.put("risk", dangerous ? 1 : 0);
      rows.add(marked.toString());
    }
    tiny.write("marked.jsonl", rows);
  }

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private Map<String, List<Integer>> run(String name, String... changes) {
    var all =
        new ArrayList<>(List.of("data.train=[" + folder.resolve("marked.jsonl") + "]", "steps=6"));
    all.addAll(Arrays.asList(changes));
    var last = TinyRun.train(tiny.config(name, all.toArray(String[]::new)));
    return TinyRun.bits(last.resolve("model.safetensors"));
  }

  private List<JsonNode> metrics(String name) {
    return Goldens.lines(tiny.output(name).resolve("metrics.jsonl"));
  }

  private String risk(String name) {
    var manifest = Goldens.json(tiny.output(name).resolve("manifest.json"));
    return manifest.get("risk").asText();
  }

  private static String critic(String mode, String more) {
    return "guard={kl: {beta_min: 0}, risk: {critic: {url: '%s', model: exact, backoff: 0.01%s}}}"
        .formatted(judge.url(mode), more);
  }

  @Test
  void aCriticAheadOrOnTheFlyIsTheColumnItWouldWrite() {
    var column = run("column", "guard.kl={risk_column: risk, beta_min: 0}");
    assertEquals(column, run("ahead", critic("train-ahead", "")));
    assertEquals(13, judge.requests("train-ahead"));
    assertEquals("critic exact; critic: 13 rows, 0 from the cache, 0 failed", risk("ahead"));
    assertEquals(column, run("fly", critic("train-fly", ", when: on_the_fly")));
    // 6 steps of 2 rows: a row is asked about when it is about to be learnt.
    assertEquals(12, judge.requests("train-fly"));
    assertEquals("critic exact, asked before each step", risk("fly"));
    assertEquals(0, metrics("fly").getLast().get("risk_failed").asInt());
  }

  @Test
  void aShuffledCriticIsAnotherRun() {
    var real = run("real", critic("real", ""));
    var shuffled = run("shuffled", critic("real", ""), "guard.risk_control=shuffled");
    assertNotEquals(real, shuffled);
    assertTrue(risk("shuffled").endsWith(", shuffled"));
  }

  @Test
  void aCriticThatFailsIsHighRiskInTheRunAndCounted() {
    var high = run("high", "guard={kl: {beta_min: 0}, risk: {constant: {value: 1}}}");
    assertEquals(high, run("html", critic("html", "")));
    assertTrue(risk("html").contains("13 failed and count as risk 1 (13 malformed"));
    assertEquals(high, run("seven", critic("seven", ", when: on_the_fly")));
    assertEquals(12, metrics("seven").getLast().get("risk_failed").asInt());
  }

  @Test
  void aResumedRunAsksOnlyWhatItHasNotAsked() {
    var kept = ", when: on_the_fly, cache: '" + folder.resolve("scores.jsonl") + "'";
    var whole = run("whole", critic("resumed", kept), "checkpoint.every=3");
    io.holdfast.checkpoint.AtomicFolder.delete(
        tiny.output("whole").resolve("checkpoints").resolve("step-6"));
    var config =
        tiny.config(
            "whole",
            "data.train=[" + folder.resolve("marked.jsonl") + "]",
            "steps=6",
            "checkpoint.every=3",
            critic("resumed", kept));
    var resumed = TinyRun.resume(config);
    assertEquals(whole, TinyRun.bits(resumed.resolve("model.safetensors")));
    assertEquals(12, judge.requests("resumed"));
  }

  @Test
  void aKeyThatIsNotThereIsNamed() {
    var error =
        assertThrows(
            HoldfastException.class,
            () -> run("keyless", critic("ok", ", key_env: HOLDFAST_NO_SUCH_KEY")));
    assertTrue(error.getMessage().contains("the environment has no HOLDFAST_NO_SUCH_KEY"));
  }

  /** A linear reading of the states after the first block, whatever it may mean. */
  private Path predictor(String modelHash) {
    var random = new SplittableRandom(9);
    var some = new double[12][16];
    var others = new double[12][16];
    for (int i = 0; i < 12; i++) {
      Arrays.setAll(some[i], _ -> random.nextGaussian() * 0.02);
      Arrays.setAll(others[i], _ -> random.nextGaussian() * 0.02);
    }
    var file = folder.resolve("predictor.safetensors");
    new RiskPredictor(
            modelHash, 1, Position.PROMPT_END, LogisticProbe.fit(some, others, 0.1), 0.5, false)
        .save(file, Map.of());
    return file;
  }

  private String modelHash() {
    try (var files = ModelFolder.open(tiny.model())) {
      return files.hash();
    }
  }

  /** The first block and the embedding are the reference's for good: one pass reads both. */
  @Test
  void aSharedLayerIsReadInThePassOfTraining() {
    var probe = "guard={kl: {}, risk: {probe: {predictor: '" + predictor(modelHash()) + "'}}}";
    var frozen = "freeze=[embed_tokens, '*layers.0.*']";
    run("shared", probe, frozen);
    assertTrue(risk("shared").endsWith("prompt_end, read in the pass of training"));
    run(
        "ahead",
        probe,
        frozen,
        "guard.subspace={rank: 2, by_risk: true, contrast: {harmful: %s, benign: %s}}"
            .formatted(
                prompts("h.jsonl", "the red lamp", "a river"),
                prompts("b.jsonl", "bread", "seven clouds")));
    assertTrue(risk("ahead").endsWith("prompt_end, read once before training"));
    for (int step = 0; step < 6; step++) {
      double expected = metrics("ahead").get(step).get("risk").asDouble();
      assertEquals(expected, metrics("shared").get(step).get("risk").asDouble(), 1e-5);
      assertTrue(expected > 0 && expected < 1);
    }
    // Where everything is trained, the layer soon is another.
    run("moving", probe);
    assertTrue(risk("moving").endsWith("read once before training"));
    double first = metrics("ahead").getFirst().get("risk").asDouble();
    assertEquals(first, metrics("moving").getFirst().get("risk").asDouble(), 1e-5);
  }

  private Path prompts(String name, String... texts) {
    return tiny.write(
        name,
        Arrays.stream(texts)
            .map("{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}]}"::formatted)
            .toList());
  }

  /** Hard risks are 0 or 1, and the mean over a step says how many. */
  @Test
  void aHardPredictorDecides() {
    var source = "risk: {probe: {hard: true, predictor: '" + predictor(modelHash()) + "'}}";
    run("hard", "guard={kl: {}, " + source + "}");
    for (var line : metrics("hard")) {
      double twice = 2 * line.get("risk").asDouble();
      assertEquals(Math.rint(twice), twice, 0);
    }
  }

  /** With activation checkpointing the pass is made twice, the risk read once. */
  @Test
  void theReadingDoesNotNoticeCheckpointing() {
    var probe = "guard={kl: {}, risk: {probe: {predictor: '" + predictor(modelHash()) + "'}}}";
    var frozen = "freeze=[embed_tokens, '*layers.0.*']";
    assertEquals(
        run("kept", probe, frozen),
        run("recomputed", probe, frozen, "activation_checkpointing=true"));
  }

  @Test
  void aPredictorOfAnotherModelStopsTheRun() {
    var probe = "guard={kl: {}, risk: {probe: {predictor: '" + predictor("other") + "'}}}";
    var error = assertThrows(HoldfastException.class, () -> run("other", probe));
    assertTrue(error.getMessage().contains("fitted on another model"), error.getMessage());
    assertTrue(!Files.exists(tiny.output("other").resolve("metrics.jsonl")));
  }
}
