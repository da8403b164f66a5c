package io.holdfast.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class AdapterFolderTest {
  private static final Path ADAPTERS = Goldens.path("checkpoint/adapters");
  private static final String QUERY = "model.layers.0.self_attn.q_proj";

  @TempDir Path parent;

  static List<Path> adapters() throws IOException {
    try (Stream<Path> files = Files.list(ADAPTERS)) {
      return files.sorted().toList();
    }
  }

  static List<Path> refused() throws IOException {
    try (Stream<Path> files = Files.list(Goldens.path("checkpoint/refused"))) {
      return files.sorted().toList();
    }
  }

  /** Reads the plain adapter's configuration with one key changed. */
  private HoldfastException changed(String key, String value) throws IOException {
    ObjectNode config = JsonFile.read(ADAPTERS.resolve("list/adapter_config.json"));
    Path file = parent.resolve("adapter_config.json");
    String json = config.deepCopy().put(key, "HERE").toString().replace("\"HERE\"", value);
    Files.writeString(file, json);
    return assertThrows(HoldfastException.class, () -> LoraConfig.read(file));
  }

  @ParameterizedTest
  @MethodSource("adapters")
  void anAdapterOfPeftIsReadAndWrittenAgain(Path golden) throws IOException {
    Path copy = parent.resolve("copy");
    try (var adapter = AdapterFolder.open(golden)) {
      AdapterFolder.save(copy, adapter.config(), adapter.updates().values());
    }
    assertEquals(
        -1,
        Files.mismatch(
            golden.resolve("adapter_model.safetensors"),
            copy.resolve("adapter_model.safetensors")));
    ObjectNode expected = JsonFile.read(golden.resolve("adapter_config.json"));
    // How A began is of no interest to a trained adapter.
    expected.put("init_lora_weights", true);
    assertEquals(expected.toPrettyString(), pretty(copy.resolve("adapter_config.json")));
  }

  private static String pretty(Path file) {
    return JsonFile.read(file).toPrettyString();
  }

  @ParameterizedTest
  @MethodSource("adapters")
  void targetsSelectTheModulesThatPeftAdapted(Path golden) {
    var expected = new TreeSet<String>();
    for (JsonNode module : Goldens.json(golden.resolve("modules.json"))) {
      expected.add(module.asText());
    }
    var linear = new TreeSet<String>();
    try (var model = ModelFolder.open(Goldens.path("checkpoint/single"))) {
      model.names().stream()
          .map(name -> name.replaceFirst("\\.weight$", ""))
          .filter(name -> name.endsWith("_proj") || name.equals("lm_head"))
          .forEach(linear::add);
    }
    try (var adapter = AdapterFolder.open(golden)) {
      assertEquals(expected, new TreeSet<>(adapter.updates().keySet()));
      linear.removeIf(module -> !adapter.config().targets().selects(module));
      assertEquals(expected, linear);
    }
  }

  @Test
  void whatTheConfigurationsSay() {
    try (var adapter = AdapterFolder.open(ADAPTERS.resolve("all-linear"))) {
      LoraConfig config = adapter.config();
      assertEquals(3, config.rank());
      assertEquals(5, config.alpha());
      assertTrue(config.rslora());
      assertEquals(5 / Math.sqrt(3), config.scale(), 1e-15);
      var update = adapter.updates().get(QUERY);
      assertEquals(List.of(3L, 8L), update.a().shape());
      assertEquals(List.of(8L, 3L), update.b().shape());
    }
    try (var adapter = AdapterFolder.open(ADAPTERS.resolve("gaussian"))) {
      assertEquals(0.25, adapter.config().dropout());
      assertEquals(2, adapter.config().scale());
    }
    try (var adapter = AdapterFolder.open(ADAPTERS.resolve("regex"))) {
      assertInstanceOf(Targets.Matching.class, adapter.config().targets());
    }
  }

  @Test
  void allOptionsUnlikeTheirDefaultsComeBack() {
    var config = new LoraConfig("some/base", 7, 2.5, 0.1, new Targets.AllLinear(), true);
    Path file = parent.resolve("adapter_config.json");
    config.write(file);
    assertEquals(config, LoraConfig.read(file));
    var pattern = new Targets.Matching(Pattern.compile(".*q_proj"));
    new LoraConfig("", 1, 1, 0, pattern, false).write(file);
    assertTrue(LoraConfig.read(file).targets().selects(QUERY));
    assertEquals("", LoraConfig.read(file).base());
  }

  @Test
  void namesAreMappedBothWays() {
    String a = "base_model.model." + QUERY + ".lora_A.weight";
    String b = "base_model.model." + QUERY + ".lora_B.weight";
    assertEquals(a, AdapterFolder.nameOfA(QUERY));
    assertEquals(b, AdapterFolder.nameOfB(QUERY));
    assertEquals(QUERY, AdapterFolder.module(a));
    assertEquals(QUERY, AdapterFolder.module(b));
    assertThrows(IllegalArgumentException.class, () -> AdapterFolder.module(QUERY));
  }

  @Test
  void namesSelectWholeParts() {
    assertTrue(Targets.named("q_proj").selects(QUERY));
    assertTrue(Targets.named("self_attn.q_proj").selects(QUERY));
    assertEquals(false, Targets.named("proj").selects(QUERY));
  }

  @ParameterizedTest
  @MethodSource("refused")
  void anUnsupportedOptionIsRefusedByName(Path file) {
    String option = file.getFileName().toString().replace(".json", "");
    var error = assertThrows(HoldfastException.class, () -> LoraConfig.read(file));
    assertEquals(ExitCode.INPUT, error.exitCode());
    assertTrue(error.getMessage().startsWith(file + ": " + option + " is "), error.getMessage());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "r|0|1 or more",
        "r|2.5|1 or more",
        "r|\"2\"|1 or more",
        "r|99999999999|1 or more",
        "lora_alpha|null|a finite number",
        "lora_dropout|1.0|below 1",
        "lora_dropout|-0.1|at least 0",
        "use_rslora|\"yes\"|true or false",
        "target_modules|[]|must be module names",
        "target_modules|null|must be module names",
        "target_modules|[1]|a list of module names",
        "target_modules|\"*proj\"|not a regular expression",
        "peft_type|\"IA3\"|only LORA",
        "an_option_of_the_future|{\"on\": true}|not supported",
      })
  void aWrongValueIsRefusedByName(String key, String value, String what) throws IOException {
    var error = changed(key, value);
    assertEquals(ExitCode.INPUT, error.exitCode());
    assertTrue(error.getMessage().contains("adapter_config.json: " + key), error.getMessage());
    assertTrue(error.getMessage().contains(what), error.getMessage());
  }

  @ParameterizedTest
  @ValueSource(strings = {"base_model.model.x.lora_A.weight", "base_model.model.x.lora_B.weight"})
  void halfAnUpdate(String name) throws IOException {
    refusedTensors(Map.of(name, List.of(2L, 2L)), "no counterpart");
  }

  @Test
  void aTensorThatIsNoLora() throws IOException {
    refusedTensors(
        Map.of("base_model.model.model.embed_tokens.lora_embedding_A", List.of(2L, 2L)),
        "lora_embedding_A: only");
  }

  @Test
  void shapesThatDoNotFitTheRank() throws IOException {
    refusedTensors(
        Map.of(
            "base_model.model.x.lora_A.weight", List.of(3L, 2L),
            "base_model.model.x.lora_B.weight", List.of(2L, 3L)),
        "do not fit r = 2");
  }

  private void refusedTensors(Map<String, List<Long>> shapes, String what) throws IOException {
    Path folder = Files.createDirectory(parent.resolve("adapter"));
    Files.copy(ADAPTERS.resolve("list/adapter_config.json"), folder.resolve("adapter_config.json"));
    var tensors =
        shapes.entrySet().stream()
            .map(
                entry -> {
                  long count = entry.getValue().stream().reduce(1L, Math::multiplyExact);
                  return TensorEntry.of(entry.getKey(), entry.getValue(), new float[(int) count]);
                })
            .toList();
    SafetensorsWriter.write(folder.resolve("adapter_model.safetensors"), tensors, Map.of());
    var error = assertThrows(HoldfastException.class, () -> AdapterFolder.open(folder).close());
    assertEquals(ExitCode.INPUT, error.exitCode());
    assertTrue(error.getMessage().contains(what), error.getMessage());
  }

  @Test
  void missingFiles() throws IOException {
    Path folder = parent.resolve("adapter");
    refusedFolder(folder, "no such folder");
    Files.createDirectory(folder);
    refusedFolder(folder, "there is no adapter_config.json");
    Files.copy(ADAPTERS.resolve("list/adapter_config.json"), folder.resolve("adapter_config.json"));
    refusedFolder(folder, "there are no weights");
    Files.createFile(folder.resolve("adapter_model.bin"));
    refusedFolder(folder, "never read");
    refusedFolder(Goldens.path("checkpoint/single"), "looks like a model");
  }

  private static void refusedFolder(Path folder, String what) {
    var error = assertThrows(HoldfastException.class, () -> AdapterFolder.open(folder).close());
    assertTrue(error.getMessage().contains(what), error.getMessage());
  }
}
