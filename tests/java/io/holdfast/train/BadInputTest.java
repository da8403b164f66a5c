package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.TensorEntry;
import io.holdfast.guard.SafetySubspace;
import io.holdfast.torch.Scope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a run refuses, and that it says where and what to do. */
class BadInputTest {
  @TempDir Path folder;
  private TinyRun tiny;

  @BeforeEach
  void model() {
    tiny = TinyRun.in(folder);
  }

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  private void refused(ExitCode code, List<String> parts, String... settings) {
    var error =
        assertThrows(HoldfastException.class, () -> TinyRun.train(tiny.config("run", settings)));
    parts.forEach(part -> assertTrue(error.getMessage().contains(part), error.getMessage()));
    assertEquals(code, error.exitCode(), error.getMessage());
  }

  @Test
  void anUnknownArchitectureIsAnsweredWithThoseThatAreKnown() throws IOException {
    var file = tiny.model().resolve("config.json");
    Files.writeString(file, Files.readString(file).replace("LlamaForCausalLM", "MambaForCausalLM"));
    refused(ExitCode.INPUT, List.of("config.json", "MambaForCausalLM", "LlamaForCausalLM"));
  }

  @Test
  void aSettingThatTheDecoderDoesNotComputeIsNotIgnored() throws IOException {
    var json = new ObjectMapper();
    var file = tiny.model().resolve("config.json").toFile();
    var config = (ObjectNode) json.readTree(file);
    json.writeValue(file, config.put("sliding_window", 64));
    refused(ExitCode.INPUT, List.of("config.json", "sliding_window"));
  }

  @Test
  void aMissingTensorIsNamed() {
    rewrite("model.layers.1.mlp.up_proj.weight", null);
    refused(ExitCode.INPUT, List.of("1 tensors missing", "model.layers.1.mlp.up_proj.weight"));
  }

  @Test
  void aTensorOfAnotherShapeIsNamed() {
    rewrite("model.norm.weight", TensorEntry.of("model.norm.weight", List.of(8L), new float[8]));
    refused(ExitCode.INPUT, List.of("model.norm.weight", "[8]", "[16]"));
  }

  /** Writes the model again with one tensor replaced, or left out. */
  private void rewrite(String name, TensorEntry other) {
    var changed = folder.resolve("changed");
    try (var files = ModelFolder.open(tiny.model())) {
      var entries = new ArrayList<TensorEntry>();
      for (var kept : files.names()) {
        if (!kept.equals(name)) {
          entries.add(files.tensor(kept));
        } else if (other != null) {
          entries.add(other);
        }
      }
      ModelFolder.save(changed, files.config(), entries, tiny.model(), ModelFolder.SHARD_BYTES);
    }
    try {
      Files.move(
          changed.resolve("model.safetensors"),
          tiny.model().resolve("model.safetensors"),
          java.nio.file.StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "tune={lora: {targets: [qkv]}} | tune.lora.targets | q_proj, k_proj, v_proj, o_proj",
        "freeze=['*embedding*'] | freeze: *embedding* matches no parameter | model.embed_tokens",
        "freeze=['*'] | every parameter is frozen | nothing is trained",
        "guard.subspace={layers: [3], rank: 1, contrast: {harmful: CHATS, benign: CHATS}} |"
            + " guard.subspace.layers: 3 | slots 0 to 2"
      })
  void aSettingThatFitsNothingIsNamed(String setting, String what, String remedy) {
    refused(
        ExitCode.USAGE,
        List.of(what, remedy),
        setting.replace("CHATS", prompts("chat-prompts.jsonl").toString()));
  }

  private Path prompts(String name) {
    return tiny.write(
        name, List.of("{\"messages\": [{\"role\": \"user\", \"content\": \"the red lamp\"}]}"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{\"prompt\": \"a\", \"completion\": \"b\"} | the field 'risk' | missing",
        "{\"prompt\": \"a\", \"completion\": \"b\", \"risk\": 1.5} | between 0 and 1 | 1.5",
        "{\"prompt\": \"a\", \"completion\": \"b\", \"risk\": \"high\"} | between 0 and 1 | high",
        "{\"prompt\": \"a\", \"completion\": \"b\", \"risk\": null} | between 0 and 1 | null"
      })
  void aRowWithoutARiskIsNamed(String second, String what, String is) {
    var good = "{\"prompt\": \"a\", \"completion\": \"b\", \"risk\": 0.5}";
    var rows = tiny.write("bad.jsonl", List.of(good, second));
    refused(
        ExitCode.INPUT,
        List.of("bad.jsonl:2", what, is),
        "data.train=[" + rows + "]",
        "guard.kl={risk_column: risk}");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{\"tokens\": [5]} | bad.jsonl:2 | no token of this row is learnt",
        "{\"tokens\": [5, 1461]} | bad.jsonl:2 | 1461",
        "{\"tokens\": [5, -1]} | bad.jsonl:2 | tokens[1] is -1",
        "{\"tokens\": [5, 6 | bad.jsonl:2: | not JSON",
        "{\"question\": \"a\"} | bad.jsonl:2 | question"
      })
  void aRowThatCannotBeLearntIsNamed(String second, String place, String what) {
    var rows = tiny.write("bad.jsonl", List.of("{\"tokens\": [5, 6]}", second));
    refused(ExitCode.INPUT, List.of(place, what), "data.train=[" + rows + "]");
  }

  @Test
  void aSubspaceOfAnotherModelIsRefused() {
    var file = folder.resolve("subspace.safetensors");
    var bases = new TreeMap<Integer, double[][]>();
    var basis = new double[16][1];
    basis[3][0] = 1;
    bases.put(1, basis);
    try (var subspace =
        new SafetySubspace(bases, new TreeMap<>(Map.of(1, 1.0)), "of another model")) {
      subspace.save(file, Map.of());
    }
    refused(
        ExitCode.INPUT,
        List.of("subspace.safetensors", "another model"),
        "guard.subspace={basis: " + file + "}");
    refused(
        ExitCode.INPUT,
        List.of("model.safetensors", "not a safety subspace"),
        "guard.subspace={basis: " + tiny.model().resolve("model.safetensors") + "}");
  }
}
