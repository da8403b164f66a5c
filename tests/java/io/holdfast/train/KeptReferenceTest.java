package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.Goldens;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.torch.Scope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the reference says, from a file and from the reference itself. */
class KeptReferenceTest {
  @TempDir Path folder;
  private TinyRun tiny;

  @BeforeEach
  void prepare() {
    tiny = TinyRun.in(folder);
    tiny.write(
        "anchors.jsonl",
        List.of(
            "{\"messages\": [{\"role\": \"user\", \"content\": \"the red lamp\"}]}",
            "{\"messages\": [{\"role\": \"user\", \"content\": \"a river of bread\"}]}"));
  }

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private List<JsonNode> run(String name, String... changes) {
    var all = new ArrayList<>(List.of("data.train=[" + folder.resolve("chats.jsonl") + "]"));
    // Adam divides by the gradient's size: what is near zero must not be all noise.
    all.addAll(List.of("steps=8", "batch_size=3", "accumulation=2", "optimizer.eps=1e-4"));
    Arrays.stream(changes).map(c -> c.replace("FOLDER", folder.toString())).forEach(all::add);
    TinyRun.train(tiny.config(name, all.toArray(String[]::new)));
    return Goldens.lines(tiny.output(name).resolve("metrics.jsonl"));
  }

  private static List<Double> terms(List<JsonNode> lines, String term) {
    return lines.stream().map(line -> line.get(term).asDouble()).toList();
  }

  @ParameterizedTest
  @CsvSource({
    "seed=1, seed=1",
    "guard.kl.direction=reverse, guard.kl.anchors=FOLDER/anchors.jsonl",
    "data.packing=true, data.max_length=40",
    "'tune={lora: {rank: 2}}', guard.kl.weight=0.7",
    "precision=bfloat16, activation_checkpointing=true"
  })
  void keptStatesAreThoseOfTheReference(String one, String other) {
    boolean constant = other.contains("weight");
    var guard = constant ? "guard.kl={weight: 0.7}" : "guard.kl={risk_column: risk}";
    var live = run("live", guard, one, other);
    var kept = run("kept", guard, one, other, "guard.kl.reference=cached");
    double tolerance = one.contains("bfloat16") ? 2e-2 : 1e-5;
    for (int step = 0; step < 8; step++) {
      for (var term : List.of("loss", "kl", "cross_entropy")) {
        double expected = live.get(step).get(term).asDouble();
        assertEquals(
            expected,
            kept.get(step).get(term).asDouble(),
            tolerance * Math.max(1, Math.abs(expected)),
            term + " step " + step);
      }
    }
    assertTrue(terms(live, "reference_rows").stream().allMatch(rows -> rows > 0));
    assertTrue(terms(kept, "reference_rows").stream().allMatch(rows -> rows == 0));
    assertTrue(live.getLast().get("kl").asDouble() > 0);
  }

  /** Of 13 rows those at 0, 4, 8 and 12 have risk 0. */
  @Test
  void theReferenceSkipsRowsWithoutWeight() {
    var all = new String[] {"batch_size=13", "accumulation=1", "steps=2"};
    var some = new ArrayList<>(List.of("guard.kl={risk_column: risk, beta_min: 0}"));
    some.addAll(List.of(all));
    assertEquals(
        List.of(9.0, 9.0), terms(run("some", some.toArray(String[]::new)), "reference_rows"));
    some.set(0, "guard.kl={risk_column: risk}");
    assertEquals(
        List.of(13.0, 13.0), terms(run("every", some.toArray(String[]::new)), "reference_rows"));
    some.set(0, "guard={kl: {beta_min: 0}, risk: {constant: {value: 0}}}");
    assertEquals(
        List.of(0.0, 0.0), terms(run("none", some.toArray(String[]::new)), "reference_rows"));
  }

  @Test
  void runsThatShareAFolderShareTheStates() throws IOException {
    var guard = "guard.kl={risk_column: risk, reference: cached}";
    var cache = "data.cache=FOLDER/shared";
    run("first", guard, cache);
    var file = only("*.reference-states.safetensors");
    Files.setLastModifiedTime(file, FileTime.fromMillis(0));
    run("second", guard, cache, "seed=7", "optimizer.lr=1e-3");
    assertEquals(0, Files.getLastModifiedTime(only("*.reference-states.safetensors")).toMillis());
    // Longer rows are other rows.
    run("third", guard, cache, "data.max_length=20");
    try (var files = Files.newDirectoryStream(folder.resolve("shared"), "*.reference-states*")) {
      int count = 0;
      for (var _ : files) {
        count++;
      }
      assertEquals(2, count);
    }
  }

  private Path only(String glob) throws IOException {
    try (var files = Files.newDirectoryStream(folder.resolve("shared"), glob)) {
      return files.iterator().next();
    }
  }

  @Test
  void statesOfOtherRowsAreMadeAgain() throws IOException {
    var guard = "guard.kl={risk_column: risk, reference: cached}";
    run("run", guard);
    var file = tiny.output("run").resolve("guard").resolve("reference-states.safetensors");
    String key;
    try (var kept = Safetensors.open(file)) {
      key = kept.metadata().get("key");
    }
    io.holdfast.checkpoint.AtomicFolder.delete(tiny.output("run").resolve("checkpoints"));
    Files.delete(tiny.output("run").resolve("metrics.jsonl"));
    run("run", guard, "data.max_length=20");
    try (var kept = Safetensors.open(file)) {
      assertNotEquals(key, kept.metadata().get("key"));
    }
  }

  /** At the start the model is the reference: every weight is 2 (1 - sigmoid(0)) = 1. */
  @Test
  void theConstraintBeginsAsPlainTraining() {
    var plain = run("plain", "steps=4");
    var held = run("held", "steps=4", "guard.token_constraint={}");
    assertEquals(1, held.getFirst().get("token_weight").asDouble(), 1e-5);
    double loss = plain.getFirst().get("loss").asDouble();
    assertEquals(loss, held.getFirst().get("loss").asDouble(), 1e-5 * loss);
    assertNotEquals(plain.getLast().get("loss"), held.getLast().get("loss"));
  }

  /** What is learnt becomes more probable, so its weight falls, the more the stronger beta is. */
  @Test
  void tokensThatWereLearntAreHeld() {
    var fast = new String[] {"optimizer.lr=3e-2", "steps=20", ""};
    var last = new ArrayList<Double>();
    for (var guard :
        List.of(
            "guard.token_constraint={beta: 0.01, first: 1, early: 1}",
            "guard.token_constraint={}",
            "guard.token_constraint={beta: 5, first: 1, early: 1}")) {
      fast[2] = guard;
      last.add(run("held" + last.size(), fast).getLast().get("token_weight").asDouble());
    }
    assertTrue(last.get(0) > last.get(1) && last.get(1) > last.get(2), last.toString());
    assertTrue(last.get(0) < 1 && last.get(2) < 0.6, last.toString());
    // With the least weight at 2 and so always there, nothing but the factor 2 is left.
    var doubled = run("doubled", "guard.token_constraint={least: 2}", "steps=2");
    assertEquals(2, doubled.getLast().get("token_weight").asDouble(), 0);
  }

  /** Only the first five tokens of an answer are held differently. */
  @Test
  void earlyTokensHaveTheirOwnBeta() {
    var one = run("one", "guard.token_constraint={beta: 0.5, first: 1, early: 1}", "steps=6");
    var none = run("none", "guard.token_constraint={beta: 0.5, early_tokens: 0}", "steps=6");
    assertEquals(terms(one, "loss"), terms(none, "loss"));
    var other = run("other", "guard.token_constraint={beta: 0.5, first: 4, early: 1}", "steps=6");
    assertNotEquals(terms(one, "loss"), terms(other, "loss"));
  }

  /** Row by row, whatever the batches: the kept numbers are found again. */
  @Test
  void theConstraintIsTheSameHoweverAWindowIsCut() {
    var guard = "guard={kl: {risk_column: risk}, token_constraint: {beta: 1}}";
    var one = run("one", guard, "batch_size=6", "accumulation=1");
    var six = run("six", guard, "batch_size=1", "accumulation=6");
    for (int step = 0; step < 8; step++) {
      double loss = one.get(step).get("loss").asDouble();
      assertEquals(loss, six.get(step).get("loss").asDouble(), 1e-5 * loss, "step " + step);
    }
  }
}
