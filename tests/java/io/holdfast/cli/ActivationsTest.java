package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import io.holdfast.checkpoint.Safetensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code activations} as scripts call it, against hidden states of {@code transformers}. */
class ActivationsTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Path MODEL = Goldens.path("model/llama-gqa");
  private static final Path WORLD = Path.of("src/main/resources/io/holdfast/world/base");

  @TempDir Path folder;

  private Path rows(String... lines) throws IOException {
    return Files.write(folder.resolve("rows.jsonl"), List.of(lines));
  }

  private Path goldenRows() throws IOException {
    var lines =
        Goldens.json(MODEL.resolve("cases.json"))
            .get("cases")
            .valueStream()
            .map(
                one -> {
                  var row = JSON.createObjectNode();
                  row.set("id", one.get("id"));
                  row.set("tokens", one.get("tokens"));
                  return row.toString();
                });
    return rows(lines.toArray(String[]::new));
  }

  private Invocation run(Path model, Path input, String... more) {
    var start =
        List.of(
            "activations",
            "--model",
            model.toString(),
            "--input",
            input.toString(),
            "--output",
            folder.resolve("out.safetensors").toString());
    return Invocation.of(
        java.util.stream.Stream.concat(start.stream(), Arrays.stream(more)).toArray(String[]::new));
  }

  private Safetensors open() {
    return Safetensors.open(folder.resolve("out.safetensors"));
  }

  @Test
  void allLayersAndTokensAreThoseOfTransformers() throws Exception {
    var done = run(MODEL, goldenRows(), "--layers", "all", "--positions", "all");
    assertEquals(0, done.exitCode(), done.err());
    int compared = 0;
    try (var out = open();
        var golden = Safetensors.open(MODEL.resolve("golden.safetensors"))) {
      for (var name : golden.names()) {
        if (name.contains("/hidden/")) {
          var ours = name.replace("/hidden/", "/");
          assertEquals(golden.get(name).shape(), out.get(ours).shape());
          Goldens.assertCloseRelative(
              name, Goldens.floats(golden, name), Goldens.floats(out, ours), 1e-4);
          compared++;
        }
      }
      assertEquals(compared, out.names().size());
      assertEquals("0,1,2,3,4", out.metadata().get("layers"));
      assertEquals("all", out.metadata().get("positions"));
      assertTrue(out.metadata().get("model_hash").matches("[0-9a-f]{64}"));
    }
    assertEquals(25, compared);
  }

  @Test
  void layersFromTheEndAndTheLastToken() throws Exception {
    var done = run(MODEL, goldenRows(), "--layers", "0,-1,4", "--positions", "last");
    assertEquals(0, done.exitCode(), done.err());
    try (var out = open();
        var golden = Safetensors.open(MODEL.resolve("golden.safetensors"))) {
      assertEquals(
          new TreeSet<>(
              Set.of(
                  "n1/0", "n1/4", "n2/0", "n2/4", "n7/0", "n7/4", "n33/0", "n33/4", "n80/0",
                  "n80/4")),
          new TreeSet<>(out.names()));
      float[] whole = Goldens.floats(golden, "n33/hidden/4");
      assertEquals(List.of(1L, 32L), out.get("n33/4").shape());
      Goldens.assertCloseRelative(
          "last",
          Arrays.copyOfRange(whole, whole.length - 32, whole.length),
          Goldens.floats(out, "n33/4"),
          1e-4);
    }
  }

  /** Tokens of a conversation, found by the template: the rows of the whole one at those places. */
  @Test
  void namedPositionsOfConversations() throws Exception {
    var input =
        rows(
            """
            {"id": "a", "messages": [{"role": "user", "content": "Help me"},\
             {"role": "assistant", "content": "Sure"}]}\
            """);
    assertEquals(0, run(WORLD, input, "--layers", "2", "--positions", "all").exitCode());
    float[] all;
    try (var out = open()) {
      all = Goldens.floats(out, "a/2");
    }
    int width = all.length / 13;
    // <|im_start|> user \n Help me <|im_end|> \n <|im_start|> assistant \n Sure <|im_end|> \n
    assertAt(
        all, width, 4, 5, run(WORLD, input, "--layers", "2", "--positions", "instruction_end"));
    assertAt(all, width, 9, 10, run(WORLD, input, "--layers", "2", "--positions", "prompt_end"));
    assertAt(all, width, 10, 12, run(WORLD, input, "--layers", "2", "--positions", "response"));
  }

  private void assertAt(float[] all, int width, int from, int to, Invocation done) {
    assertEquals(0, done.exitCode(), done.err());
    try (var out = open()) {
      assertArrayEquals(
          Arrays.copyOfRange(all, from * width, to * width), Goldens.floats(out, "a/2"), 1e-5f);
    }
  }

  @Test
  void whatCannotBeWrittenIsRefusedByName() throws Exception {
    var twice = rows("{\"id\": 1, \"tokens\": [4]}", "{\"id\": \"1\", \"tokens\": [5]}");
    assertRefused(ExitCode.INPUT, "rows.jsonl:2", "id of", run(MODEL, twice));
    var plain = rows("{\"id\": 1, \"tokens\": [4]}", "{\"id\": 2, \"tokens\": [5]}");
    assertRefused(ExitCode.USAGE, "'5'", "0 to 4", run(MODEL, plain, "--layers", "0,5"));
    assertRefused(ExitCode.USAGE, "'-6'", "-5 to -1", run(MODEL, plain, "--layers", "-6"));
    assertRefused(ExitCode.USAGE, "'x'", "or all", run(MODEL, plain, "--layers", "x"));
    assertRefused(
        ExitCode.INPUT,
        "rows.jsonl:1",
        "no instruction",
        run(MODEL, plain, "--positions", "instruction_end"));
    var open =
        rows(
            """
            {"id": 1, "messages": [{"role": "user", "content": "Help"}],\
             "add_generation_prompt": true}\
            """);
    assertRefused(
        ExitCode.INPUT, "rows.jsonl:1", "no response", run(WORLD, open, "--positions", "response"));
    assertRefused(
        ExitCode.USAGE, "--positions", "middle", run(MODEL, plain, "--positions", "middle"));
    assertFalse(Files.exists(folder.resolve("out.safetensors")));
  }

  private static void assertRefused(ExitCode code, String where, String why, Invocation done) {
    assertEquals(code.code(), done.exitCode(), done.err());
    assertTrue(done.err().contains(where) && done.err().contains(why), done.err());
  }
}
