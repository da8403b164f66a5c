package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code generate} as scripts call it, with the world's base. */
class GenerateTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Path BASE = Path.of("src/main/resources/io/holdfast/world/base");
  private static final List<String> ASKED =
      List.of("How do I paint a horse?", "Tell me how to rob the baker.", "Help me", "Hello");

  @TempDir Path folder;

  private Path rows() throws IOException {
    var lines = new ArrayList<String>();
    for (var asked : ASKED) {
      var row = JSON.createObjectNode().put("id", "row " + lines.size());
      row.putArray("messages").addObject().put("role", "user").put("content", asked);
      lines.add(row.put("add_generation_prompt", true).toString());
    }
    return Files.write(folder.resolve("rows.jsonl"), lines);
  }

  private static Invocation run(Path input, String... more) {
    var start =
        List.of("generate", "--model", BASE.toString(), "--input", input.toString(), "--quiet");
    return Invocation.of(Stream.concat(start.stream(), Arrays.stream(more)).toArray(String[]::new));
  }

  private static List<JsonNode> lines(Invocation done) throws IOException {
    assertEquals(0, done.exitCode(), done.err());
    var lines = new ArrayList<JsonNode>();
    for (var line : done.out().lines().toList()) {
      lines.add(JSON.readTree(line));
    }
    return lines;
  }

  @Test
  void answersComeInTheOrderOfTheRowsWhateverTheBatch() throws Exception {
    var one = lines(run(rows(), "--max-new-tokens", "24", "--batch-size", "1"));
    var many = lines(run(rows(), "--max-new-tokens", "24"));
    assertEquals(one, many);
    assertEquals(ASKED.size(), one.size());
    for (int i = 0; i < one.size(); i++) {
      assertEquals("row " + i, one.get(i).get("id").asText());
      assertFalse(one.get(i).has("logprobs"));
    }
    var file = folder.resolve("out.jsonl");
    assertEquals("", run(rows(), "--max-new-tokens", "24", "--output", file.toString()).out());
    assertEquals(one, Goldens.lines(file));
  }

  @Test
  void aStopStringEndsTheAnswerAndIsNotInItsText() throws Exception {
    var free = lines(run(rows(), "--max-new-tokens", "24")).getFirst();
    assertTrue(free.get("text").asText().contains("take the marble"), free.toString());
    var stopped =
        lines(run(rows(), "--max-new-tokens", "24", "--stop", "ke the mar", "--stop", "zzz"))
            .getFirst();
    var text = free.get("text").asText();
    assertEquals(text.substring(0, text.indexOf("ke the mar")), stopped.get("text").asText());
    assertEquals("stop", stopped.get("finish").asText());
    assertTrue(stopped.get("tokens").size() < free.get("tokens").size());
  }

  @Test
  void logprobsAreThoseOfScore() throws Exception {
    var answered =
        lines(
            run(
                rows(),
                "--max-new-tokens",
                "12",
                "--ignore-eos",
                "--logprobs",
                "--temperature",
                "1.3",
                "--top-k",
                "40",
                "--top-p",
                "0.9",
                "--min-p",
                "0.01",
                "--repetition-penalty",
                "1.2"));
    var encoded =
        Invocation.of("tokenize", "--model", BASE.toString(), "--input", rows().toString());
    var prompts = lines(encoded);
    var wholes = new ArrayList<String>();
    for (int i = 0; i < prompts.size(); i++) {
      var row = JSON.createObjectNode().put("id", i);
      var tokens = row.putArray("tokens");
      prompts.get(i).get("ids").forEach(tokens::add);
      answered.get(i).get("tokens").forEach(tokens::add);
      assertEquals(12, answered.get(i).get("tokens").size());
      assertEquals("length", answered.get(i).get("finish").asText());
      wholes.add(row.toString());
    }
    var file = Files.write(folder.resolve("whole.jsonl"), wholes);
    var scored =
        lines(Invocation.of("score", "--model", BASE.toString(), "--input", file.toString()));
    for (int i = 0; i < scored.size(); i++) {
      var all = scored.get(i).get("logprobs");
      var ours = answered.get(i).get("logprobs");
      for (int t = 0; t < 12; t++) {
        assertEquals(
            all.get(all.size() - 12 + t).asDouble(), ours.get(t).asDouble(), 1e-4, "row " + i);
      }
    }
  }

  @Test
  void theSameSeedGivesTheSameAnswers() throws Exception {
    var first = lines(run(rows(), "--temperature", "2", "--seed", "5", "--batch-size", "3"));
    assertEquals(first, lines(run(rows(), "--temperature", "2", "--seed", "5")));
    assertFalse(first.equals(lines(run(rows(), "--temperature", "2", "--seed", "6"))));
  }

  @Test
  void wrongSettingsAreRefused() throws Exception {
    assertRefused("--temperature", run(rows(), "--top-p", "0.9"));
    assertRefused("--top-p", run(rows(), "--temperature", "1", "--top-p", "1.5"));
    assertRefused("--temperature", run(rows(), "--temperature", "0"));
    assertRefused("--repetition-penalty", run(rows(), "--repetition-penalty", "-1"));
    assertRefused("--max-new-tokens", run(rows(), "--max-new-tokens", "0"));
    assertRefused("--stop", run(rows(), "--stop", ""));
  }

  private static void assertRefused(String what, Invocation done) {
    assertEquals(ExitCode.USAGE.code(), done.exitCode(), done.err());
    assertTrue(done.err().contains(what), done.err());
  }

  @Test
  void aPromptThatLeavesNoRoomIsNamed() throws Exception {
    var ids = "1,".repeat(1 << 14) + "1";
    var input =
        Files.write(
            folder.resolve("long.jsonl"),
            List.of("{\"id\": 1, \"tokens\": [5]}", "{\"id\": 2, \"tokens\": [" + ids + "]}"));
    var done = run(input);
    assertEquals(ExitCode.INPUT.code(), done.exitCode());
    assertTrue(done.err().contains("long.jsonl:2: the prompt has 16385 tokens"), done.err());
    assertTrue(done.err().contains("shorten"), done.err());
  }
}
