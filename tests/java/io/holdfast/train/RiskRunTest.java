package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.Goldens;
import io.holdfast.torch.Scope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a risk and its control do to a run. */
class RiskRunTest {
  private static final String BY_RISK = "guard.kl={beta_min: 0, beta_max: 0.9}";

  @TempDir Path folder;
  private TinyRun tiny;

  @BeforeEach
  void prepare() {
    tiny = TinyRun.in(folder);
  }

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private Map<String, List<Integer>> weights(String name, String... changes) {
    var all = new ArrayList<String>();
    all.add("data.train=[" + folder.resolve("chats.jsonl") + "]");
    all.add("steps=6");
    all.addAll(Arrays.asList(changes));
    var last = TinyRun.train(tiny.config(name, all.toArray(String[]::new)));
    return TinyRun.bits(last.resolve("model.safetensors"));
  }

  private List<JsonNode> metrics(String name) {
    return Goldens.lines(tiny.output(name).resolve("metrics.jsonl"));
  }

  @Test
  void noRiskAndNoLeastWeightIsPlainTrainingBitForBit() {
    var plain = weights("plain");
    assertEquals(plain, weights("zero", BY_RISK, "guard.risk={constant: {value: 0}}"));
    var losses = metrics("plain").stream().map(line -> line.get("loss")).toList();
    assertEquals(losses, metrics("zero").stream().map(line -> line.get("loss")).toList());
    assertNotEquals(plain, weights("some", BY_RISK, "guard.risk={constant: {value: 0.1}}"));
  }

  @Test
  void aConstantRiskIsAColumnOfThatRisk() {
    var rows =
        Goldens.lines(folder.resolve("chats.jsonl")).stream()
            .map(row -> ((com.fasterxml.jackson.databind.node.ObjectNode) row).put("risk", 0.5))
            .map(JsonNode::toString)
            .toList();
    var half = "data.train=[" + tiny.write("half.jsonl", rows) + "]";
    var column = weights("column", half, "guard.kl={risk_column: risk}");
    assertEquals(column, weights("constant", "guard.kl={}", "guard.risk={constant: {value: 0.5}}"));
    assertEquals(
        column, weights("named", half, "guard.kl={}", "guard.risk={recorded: {column: risk}}"));
  }

  @Test
  void shuffledRisksAreOthersInTheRunAndTheSameOverall() {
    var recorded = "guard.risk={recorded: {column: risk}}";
    var real = weights("real", BY_RISK, recorded, "batch_size=13", "steps=2");
    var shuffled =
        weights(
            "shuffled",
            BY_RISK,
            recorded,
            "guard.risk_control=shuffled",
            "batch_size=13",
            "steps=2");
    assertNotEquals(real, shuffled);
    // A step is all 13 rows: their mean risk is the same, whoever has which.
    for (int step = 0; step < 2; step++) {
      assertEquals(
          metrics("real").get(step).get("risk").asDouble(),
          metrics("shuffled").get(step).get("risk").asDouble(),
          1e-6);
    }
    var manifest = Goldens.json(tiny.output("shuffled").resolve("manifest.json"));
    assertEquals("recorded as risk, shuffled", manifest.get("risk").asText());
  }

  @Test
  void aResumedMovingAverageIsTheUninterruptedOne() {
    var rows = "data.train=[" + folder.resolve("chats.jsonl") + "]";
    var guard = "guard={kl: {risk_column: risk}, risk_smoothing: 0.7}";
    var whole = TinyRun.train(tiny.config("whole", rows, guard, "steps=8"));
    TinyRun.train(tiny.config("part", rows, guard, "steps=8", "checkpoint.every=3"));
    var late = tiny.output("part").resolve("checkpoints").resolve("step-8");
    io.holdfast.checkpoint.AtomicFolder.delete(late);
    var resumed = TinyRun.resume(tiny.config("part", rows, guard, "steps=8"));
    assertEquals(
        TinyRun.bits(whole.resolve("model.safetensors")),
        TinyRun.bits(resumed.resolve("model.safetensors")));
    assertEquals(TinyRun.metrics(tiny.output("whole")), TinyRun.metrics(tiny.output("part")));
    assertNotEquals(
        weights("unsmoothed", "guard={kl: {risk_column: risk}}", "steps=8"),
        TinyRun.bits(whole.resolve("model.safetensors")));
    assertTrue(metrics("whole").getFirst().has("risk"));
  }
}
