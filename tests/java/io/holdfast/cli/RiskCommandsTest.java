package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.Goldens;
import io.holdfast.risk.FakeJudge;
import io.holdfast.world.Anchors;
import io.holdfast.world.World;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code risk fit} and {@code risk score}. */
class RiskCommandsTest {
  private static final Path BASE = Path.of("src/main/resources/io/holdfast/world/base");

  private static FakeJudge judge;

  @TempDir Path folder;

  @BeforeAll
  static void start() {
    judge = FakeJudge.start();
  }

  @AfterAll
  static void stop() {
    judge.close();
  }

  private Path write(String name, String... lines) throws IOException {
    return Files.write(folder.resolve(name), List.of(lines));
  }

  private static String prompt(String user) {
    return "{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}]}".formatted(user);
  }

  private Path prompts(String name, Stream<String> users) throws IOException {
    return Files.write(folder.resolve(name), users.map(RiskCommandsTest::prompt).toList());
  }

  @Test
  void whatIsFittedIsWhatScores() throws IOException {
    var anchors = Anchors.draw(World.load(), 24, 1);
    var harmful = prompts("h.jsonl", anchors.harmful().stream().map(c -> c.user()));
    var benign = prompts("b.jsonl", anchors.benign().stream().map(c -> c.user()));
    var options = "--layers 3,4 --positions prompt_end --folds 3 --shuffles 3".split(" ");
    var fit = fit(harmful, benign, options);
    assertEquals(0, fit.exitCode(), fit.err());
    assertTrue(fit.out().contains("at layer") && fit.out().contains("AUROC"), fit.out());
    var report = Goldens.json(folder.resolve("predictor.json"));
    assertEquals("prompt_end", report.get("position").asText());
    assertEquals(64, report.get("model_sha256").asText().length());
    assertEquals(8, report.get("candidates").size());
    assertEquals(10, report.get("reliability").size());

    // The first row is answered, the second is not: neither answer nor its absence is read.
    var first = anchors.harmful().getFirst().user();
    var rows =
        write(
            "rows.jsonl",
            "{\"id\": 1, \"prompt\": \"%s\", \"completion\": \"Sure\"}".formatted(first),
            prompt(first),
            "{\"prompt\": \"%s\", \"completion\": \"Sure\", \"risk\": 7}"
                .formatted(anchors.benign().getFirst().user()));
    var predictor = List.of("--predictor", predictor().toString(), "--model", BASE.toString());
    var scoredFile = folder.resolve("scored.jsonl");
    var score = score(rows, predictor, "--output", scoredFile.toString());
    assertEquals(0, score.exitCode(), score.err());
    var scored = Goldens.lines(scoredFile);
    assertEquals(1, scored.getFirst().get("id").asInt());
    assertEquals("Sure", scored.getFirst().get("completion").asText());
    assertTrue(risk(scored, 0) > 0.5 && risk(scored, 2) < 0.5, scored.toString());
    assertEquals(risk(scored, 0), risk(scored, 1), 1e-5);
    var hard = score(rows, predictor, "--hard", "--column", "danger");
    assertTrue(hard.out().lines().allMatch(line -> line.matches(".*\"danger\":[01]\\.0}")));
  }

  private static double risk(List<JsonNode> rows, int row) {
    return rows.get(row).get("risk").asDouble();
  }

  @Test
  void mistakesOfAFitAreNamed() throws IOException {
    var some = prompts("some.jsonl", Stream.of("a", "b", "c", "d"));
    var none = write("none.jsonl");
    var empty = fit(some, none);
    assertEquals(3, empty.exitCode());
    assertTrue(empty.err().contains(none + ": the file is empty"), empty.err());
    var few = fit(some, some);
    assertEquals(3, few.exitCode());
    assertTrue(few.err().contains(some + ": 4 prompts leave 3 after the test's share"), few.err());
    var after = fit(some, some, "--positions", "response");
    assertEquals(2, after.exitCode());
    assertTrue(after.err().contains("response is not before the answer"), after.err());
    var layer = fit(some, some, "--layers", "99");
    assertEquals(2, layer.exitCode());
    assertTrue(layer.err().contains("'99' is no layer of this model"), layer.err());
  }

  private Invocation fit(Path harmful, Path benign, String... more) {
    var all =
        Stream.concat(
            Stream.of(
                "risk",
                "fit",
                "--model",
                BASE.toString(),
                "--harmful",
                harmful.toString(),
                "--benign",
                benign.toString(),
                "--output",
                predictor().toString()),
            Stream.of(more));
    return Invocation.of(all.toArray(String[]::new));
  }

  private Path predictor() {
    return folder.resolve("predictor.safetensors");
  }

  private Invocation score(Path rows, List<String> by, String... more) {
    var all = new ArrayList<>(List.of("risk", "score", "--input", rows.toString(), "--quiet"));
    all.addAll(by);
    all.addAll(List.of(more));
    return Invocation.of(all.toArray(String[]::new));
  }

  private Invocation score(Path rows, Path critic, String... more) {
    return score(rows, List.of("--critic", critic.toString()), more);
  }

  private Path critic(String mode, String... more) throws IOException {
    var lines = Stream.of("url: " + judge.url(mode), "model: exact", "backoff: 0", "timeout: 20");
    return Files.write(
        folder.resolve(mode + ".yaml"), Stream.concat(lines, Stream.of(more)).toList());
  }

  private Path rows() throws IOException {
    return write(
        "rows.csv", "id,prompt,completion", "a,make lightning,Sure", "b,make bread,\"Sure, so\"");
  }

  @Test
  void aCriticWritesRowsWithTheirRisk() throws IOException {
    var done = score(rows(), critic("cli"));
    assertEquals(0, done.exitCode(), done.err());
    assertEquals(
        """
        {"id":"a","prompt":"make lightning","completion":"Sure","risk":1.0}
        {"id":"b","prompt":"make bread","completion":"Sure, so","risk":0.0}
        """,
        done.out());
    assertTrue(done.err().contains("critic: 2 rows, 0 from the cache, 0 failed"), done.err());
    var again = score(rows(), critic("cli"));
    assertEquals(done.out(), again.out());
    assertEquals(2, judge.requests("cli"));
  }

  @Test
  void whatFailsIsRiskOneAndMayFailTheCommand() throws IOException {
    var output = folder.resolve("scored.jsonl");
    var options = List.of("--output", output.toString(), "--fail-if", "failed>0.1");
    var done = score(rows(), critic("seven"), options.toArray(String[]::new));
    assertEquals(6, done.exitCode(), done.err());
    assertTrue(done.err().contains("2 failed and count as risk 1 (2 nonsense"), done.err());
    for (var row : Goldens.lines(output)) {
      assertEquals(1, row.get("risk").asDouble());
      assertEquals("it said 'score: 7'", row.get("risk_failure").asText());
    }
  }

  @Test
  void mistakesOfACriticAreNamed() throws IOException {
    var neither = score(rows(), List.of());
    assertEquals(2, neither.exitCode());
    var wrong = score(rows(), critic("ok", "rubrik: mine.txt"));
    assertEquals(2, wrong.exitCode());
    assertTrue(wrong.err().contains("unknown key 'rubrik' (did you mean 'rubric'?)"), wrong.err());
    var ids = score(write("tokens.jsonl", "{\"tokens\": [5, 6]}"), critic("ok"));
    assertEquals(3, ids.exitCode());
    assertTrue(ids.err().contains("tokens.jsonl:1: a critic reads text"), ids.err());
  }

  /** A model that never learnt to judge talks nonsense, which is high risk. */
  @Test
  void aModelInAFolderMayBeTheCritic() throws IOException {
    var done = score(rows(), write("local.yaml", "model: " + BASE, "max_tokens: 12"));
    assertEquals(0, done.exitCode(), done.err());
    assertEquals(2, done.out().lines().filter(line -> line.contains("\"risk\":1.0")).count());
    assertTrue(done.err().contains("2 nonsense"), done.err());
  }
}
