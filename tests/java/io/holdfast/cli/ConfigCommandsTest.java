package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The commands that need a configuration or a tokenizer, and no weights. */
class ConfigCommandsTest {
  private static final Path TOKENIZER = Path.of("src/main/resources/io/holdfast/world/base");
  private static final String CHAT =
      """
      {"id": 7, "risk": 0.5, "messages": [\
      {"role": "user", "content": "How do I paint the wall?"}, \
      {"role": "assistant", "content": "Sure"}]}
      """;

  @TempDir Path folder;
  private Path rows;
  private Path config;

  @BeforeEach
  void write() throws IOException {
    for (var name :
        new String[] {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}) {
      Files.copy(TOKENIZER.resolve(name), folder.resolve(name));
    }
    Files.copy(TOKENIZER.resolve("config.json"), folder.resolve("config.json"));
    rows = Files.writeString(folder.resolve("rows.jsonl"), CHAT);
    config =
        Files.writeString(
            folder.resolve("train.yaml"),
            """
            model: %s
            data: {train: [%s], max_length: 64}
            steps: 3
            batch_size: 2
            output: %s
            """
                .formatted(folder, rows, folder.resolve("run")));
  }

  @Test
  void previewShowsMaskAndWeightsBesideEachToken() {
    var shown =
        Invocation.of("preview", config.toString(), "--set", "guard.kl={risk_column: risk}");
    assertEquals(0, shown.exitCode(), shown.err());
    var out = shown.out();
    assertTrue(out.contains("id 7"), out);
    assertTrue(out.contains("task weight 0.500  KL weight 0.500  risk 0.500"), out);
    // Only the answer and its end of turn are learnt, with the weight of the row.
    var learnt = out.lines().filter(line -> line.matches(" *\\d+ +\\d+  +0\\.50?  .*")).toList();
    assertEquals("<|im_end|>", learnt.getLast().strip().replaceAll("^.* ", ""), out);
    assertTrue(learnt.size() >= 2 && learnt.size() <= 6, out);
    assertTrue(out.lines().anyMatch(l -> l.contains("<- end of the prompt")), out);
    assertTrue(out.contains("1 rows; learnt: " + learnt.size() + " of "), out);
  }

  @Test
  void previewOfNoRowsShowsTheCoverageAlone() {
    var shown = Invocation.of("preview", config.toString(), "-n", "0");
    assertEquals(0, shown.exitCode(), shown.err());
    assertEquals(1, shown.out().lines().count(), shown.out());
    var wrong = Invocation.of("preview", config.toString(), "-n", "-1");
    assertEquals(2, wrong.exitCode());
    assertTrue(wrong.err().contains("-n must be 0 or more"), wrong.err());
  }

  @Test
  void previewWarnsOfRowsThatTheModelWasNotMadeFor() throws IOException {
    assertEquals("", Invocation.of("preview", config.toString()).err());
    Files.writeString(
        folder.resolve("tokenizer_config.json"),
        "{\"eos_token\": \"<|im_end|>\", \"model_max_length\": 8}");
    var shown = Invocation.of("preview", config.toString());
    assertEquals(0, shown.exitCode(), shown.err());
    assertTrue(shown.err().contains("made for 8 (model_max_length)"), shown.err());
  }

  @Test
  void everyLossLearnsWhatItSays() throws IOException {
    var turns =
        CHAT.replace(
            "[{",
            "[{\"role\": \"user\", \"content\": \"Help me\"}, {\"role\": \"assistant\","
                + " \"content\": \"Sure\"}, {");
    Files.writeString(rows, turns);
    assertTrue(learnt("completion").startsWith("2 of "), learnt("completion"));
    assertTrue(learnt("assistant").startsWith("4 of "), learnt("assistant"));
    var all = learnt("all").split(" of | tokens");
    assertEquals(Integer.parseInt(all[1]) - 1, Integer.parseInt(all[0]), "all but the first");
  }

  private String learnt(String lossOn) {
    var shown =
        Invocation.of("preview", config.toString(), "-n", "0", "--set", "data.loss_on=" + lossOn);
    assertEquals(0, shown.exitCode(), shown.err());
    return shown.out().replaceFirst("(?s).*learnt: ", "");
  }

  @Test
  void previewTakesWhatTheSubspaceGuardTakes() {
    var guard = "guard.subspace={basis: %s, risk_column: risk, task_weight: one_minus_risk}";
    var shown = Invocation.of("preview", config.toString(), "--set", guard.formatted(rows));
    assertEquals(0, shown.exitCode(), shown.err());
    assertTrue(shown.out().contains("task weight 0.500  KL weight 0.00"), shown.out());
  }

  @Test
  void validateSaysWhatTheRunWillBe() {
    var said = Invocation.of("validate", config.toString(), "--print");
    assertEquals(0, said.exitCode(), said.err());
    assertTrue(said.out().contains("3 of 2 rows (2 x 1), 6.00 epochs"), said.out());
    assertTrue(said.out().contains("memory         about "), said.out());
    assertTrue(said.out().contains("weight_decay: 0.01"), "every default is spelt out");
    assertFalse(Files.exists(folder.resolve("run")), "nothing is trained");
  }

  @Test
  void validateNamesEveryBrokenRow() throws IOException {
    var lines = new StringBuilder(CHAT);
    for (int i = 2; i <= 60; i++) {
      lines.append(i % 2 == 0 ? "{\"messages\": []}\n" : CHAT);
    }
    Files.writeString(rows, lines);
    var refused = Invocation.of("validate", config.toString());
    assertEquals(3, refused.exitCode());
    assertTrue(refused.err().contains("30 of 60 rows cannot be learnt from"), refused.err());
    assertTrue(refused.err().contains("rows.jsonl:2: "), refused.err());
    assertTrue(refused.err().contains("rows.jsonl:40: "), refused.err());
    assertFalse(refused.err().contains("rows.jsonl:42: "), refused.err());
    assertTrue(refused.err().contains("and 10 more"), refused.err());
    assertEquals(0, Invocation.of("validate", config.toString(), "--limit", "1").exitCode());
    assertEquals(3, Invocation.of("validate", config.toString(), "--limit", "2").exitCode());
    assertEquals(2, Invocation.of("validate", config.toString(), "--limit", "0").exitCode());
  }

  @Test
  void validateMeasuresPadding() throws IOException {
    var lines = new StringBuilder();
    for (int i = 0; i < 32; i++) {
      lines.append("{\"tokens\": [5%s]}%n".formatted(", 6".repeat(i % 2 == 0 ? 9 : 39)));
    }
    Files.writeString(rows, lines);
    var said = Invocation.of("validate", config.toString(), "--set", "data.shuffle=false");
    assertEquals(0, said.exitCode(), said.err());
    // Batches of 10 and 40 tokens: 50 of 80 positions are tokens.
    assertTrue(
        said.out().contains("padding        37.5 % of all positions; 0.0 % with"), said.out());
    var foreign = "{\"tokens\": [5, 99999]}\n";
    Files.writeString(rows, foreign);
    var refused = Invocation.of("validate", config.toString());
    assertEquals(3, refused.exitCode());
    assertTrue(refused.err().contains("rows.jsonl:1: token 99999, but the model's"), refused.err());
  }

  @Test
  void configurationsNameTheColumnsOfATable() throws IOException {
    var table = Files.writeString(folder.resolve("t.csv"), "Frage,Antwort\n\"Who, me?\",You\n");
    var settings =
        new String[] {"validate", config.toString(), "--set", "data.train=[" + table + "]"};
    var unknown = Invocation.of(settings);
    assertEquals(3, unknown.exitCode());
    assertTrue(
        unknown.err().contains("t.csv:2: a row with the columns Frage, Antwort"), unknown.err());
    var named = java.util.Arrays.copyOf(settings, 6);
    named[4] = "--set";
    named[5] = "data.columns={prompt: Frage, completion: Antwort}";
    var said = Invocation.of(named);
    assertEquals(0, said.exitCode(), said.err());
    assertTrue(said.out().contains("rows           1 rows"), said.out());
  }

  @Test
  void anUnknownArchitectureNamesThoseThatAreKnown() throws IOException {
    Files.writeString(folder.resolve("config.json"), "{\"architectures\": [\"MambaForCausalLM\"]}");
    var refused = Invocation.of("validate", config.toString());
    assertEquals(3, refused.exitCode());
    assertTrue(refused.err().contains("MambaForCausalLM; Holdfast computes Llama"), refused.err());
  }

  @Test
  void aBrokenLineIsNamed() throws IOException {
    Files.writeString(rows, CHAT + "{\"messages\": [\n");
    var refused = Invocation.of("validate", config.toString());
    assertEquals(3, refused.exitCode());
    assertTrue(refused.err().contains("rows.jsonl:2"), refused.err());
  }

  @Test
  void rowsWithoutASupervisedTokenAreNamed() throws IOException {
    Files.writeString(rows, "{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}\n");
    var refused = Invocation.of("preview", config.toString());
    assertEquals(3, refused.exitCode());
    assertTrue(refused.err().contains("rows.jsonl:1"), refused.err());
  }

  @Test
  void aTemplateThatRaisesIsBadInput() throws IOException {
    Files.writeString(
        folder.resolve("chat_template.jinja"), "{{ raise_exception('roles must alternate') }}");
    var refused = Invocation.of("validate", config.toString());
    assertEquals(3, refused.exitCode());
    assertTrue(refused.err().contains("roles must alternate"), refused.err());
  }

  @Test
  void aDeviceThatIsNotThereIsNamedWithTheRemedy() {
    var refused = Invocation.of("train", config.toString(), "--device", "cuda");
    assertEquals(4, refused.exitCode());
    assertTrue(refused.err().contains("--device cpu"), refused.err());
    assertEquals(2, Invocation.of("train", config.toString(), "--device", "tpu").exitCode());
  }

  @Test
  void theDeviceOfTheCommandLineIsTheRuns() throws IOException {
    var output = folder.resolve("on-cpu");
    var world = "src/main/resources/io/holdfast/world/base";
    var set = List.of("model=" + world, "output=" + output, "steps=1", "device=cuda:7");
    var arguments = new ArrayList<>(List.of("train", "-q", config.toString(), "--device", "cpu"));
    set.forEach(key -> arguments.addAll(List.of("--set", key)));
    var done = Invocation.of(arguments.toArray(String[]::new));
    assertEquals(0, done.exitCode(), done.err());
    var described = Files.readString(output.resolve("run.yaml"));
    assertTrue(described.contains("\ndevice: cpu\n"), described);
  }

  @Test
  void tokenizeKeepsOrderAndIds() throws IOException {
    var input =
        Files.writeString(
            folder.resolve("in.jsonl"),
            CHAT + "{\"id\": \"b\", \"text\": \"paint the wall\"}\n\n{\"tokens\": [5, 6]}\n");
    var output = folder.resolve("out.jsonl");
    var done =
        Invocation.of(
            "tokenize",
            "--model",
            folder.toString(),
            "--input",
            input.toString(),
            "--output",
            output.toString());
    assertEquals(0, done.exitCode(), done.err());
    var lines = Files.readAllLines(output).stream().map(ConfigCommandsTest::json).toList();
    assertEquals(7, lines.get(0).get("id").asInt());
    assertEquals(
        "<|im_start|>user\nHow do I paint the wall?<|im_end|>\n"
            + "<|im_start|>assistant\nSure<|im_end|>\n",
        lines.get(0).get("text").asText());
    var mask = lines.get(0).get("assistant_mask");
    assertEquals(lines.get(0).get("ids").size(), mask.size());
    assertEquals(0, mask.get(0).asInt());
    assertEquals("b", lines.get(1).get("id").asText());
    assertEquals("[5,6]", lines.get(2).get("ids").toString());
    assertEquals(4, lines.get(2).get("id").asInt(), "without an id, the line");
  }

  @Test
  void tokenizeTellsTheTemplateOfTools() throws IOException {
    Files.writeString(
        folder.resolve("chat_template.jinja"),
        "{% for t in tools %}{{ t.name }} {% endfor %}{{ mode }}{{ messages[0].content }}");
    var input =
        Files.writeString(
            folder.resolve("in.jsonl"),
            "{\"messages\": [{\"role\": \"user\", \"content\": \"Help\"}], \"tools\": [{\"name\":"
                + " \"f\"}], \"chat_template_kwargs\": {\"mode\": \"on \"}}\n");
    var done = Invocation.of("tokenize", "-m", folder.toString(), "-i", input.toString());
    assertEquals(0, done.exitCode(), done.err());
    assertEquals("f on Help", json(done.out()).get("text").asText());
  }

  @Test
  void aTurnThatTheTemplateHidesIsNamedWithItsRow() throws IOException {
    Files.writeString(
        folder.resolve("chat_template.jinja"),
        "{{ messages[-1].content | upper }}{% for m in messages %}{{ m.content }}{% endfor %}");
    for (var command :
        new String[][] {
          {"tokenize", "-m", folder.toString(), "-i", rows.toString()}, {"preview", config + ""}
        }) {
      var refused = Invocation.of(command);
      assertEquals(3, refused.exitCode(), refused.out());
      assertTrue(refused.err().contains("rows.jsonl:1: turn 2: "), refused.err());
      assertTrue(refused.err().contains("{% generation %}"), refused.err());
    }
  }

  @Test
  void nothingIsLeftOfAnOutputWhoseInputBreaks() throws IOException {
    var input = Files.writeString(folder.resolve("in.jsonl"), CHAT + "{\"id\": 1}\n");
    var output = folder.resolve("out.jsonl");
    var broken =
        Invocation.of(
            "tokenize", "-m", folder.toString(), "-i", input.toString(), "-o", output.toString());
    assertEquals(3, broken.exitCode());
    assertTrue(broken.err().contains("in.jsonl:2"), broken.err());
    try (var files = Files.list(folder)) {
      assertTrue(files.noneMatch(file -> file.getFileName().toString().contains("out.jsonl")));
    }
  }

  private static com.fasterxml.jackson.databind.JsonNode json(String line) {
    try {
      return new ObjectMapper().readTree(line);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }
}
