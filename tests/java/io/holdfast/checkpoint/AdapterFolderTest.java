package io.holdfast.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
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
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
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
    return assertThrows(HoldfastException.class, () -> LoraConfigReader.read(file));
  }

  @ParameterizedTest
  @MethodSource("adapters")
  void anAdapterOfPeftIsReadAndWrittenAgain(Path golden) throws IOException {
    Path copy = parent.resolve("copy");
    try (var adapter = AdapterFolder.open(golden)) {
      AdapterFolder.save(copy, adapter.config(), adapter.tensors().values(), Optional.empty());
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
    var saved = new TreeSet<String>();
    for (JsonNode weight : Goldens.json(golden.resolve("saved.json"))) {
      saved.add(weight.asText());
    }
    var linear = new TreeSet<String>();
    var weights = new TreeSet<String>();
    try (var model = ModelFolder.open(Goldens.path("checkpoint/single"))) {
      weights.addAll(model.names());
      model.names().stream()
          .map(name -> name.replaceFirst("\\.weight$", ""))
          .filter(name -> name.endsWith("_proj") || name.equals("lm_head"))
          .forEach(linear::add);
    }
    try (var adapter = AdapterFolder.open(golden)) {
      var config = adapter.config();
      assertEquals(expected, new TreeSet<>(adapter.updates().keySet()));
      linear.removeIf(module -> !config.adapts(module));
      assertEquals(expected, linear);
      assertEquals(saved, new TreeSet<>(adapter.saved().keySet()));
      weights.removeIf(weight -> !config.saved().select(weight));
      assertEquals(saved, weights);
    }
  }

  /** Ranks and factors of every module, as PEFT computed them. */
  @ParameterizedTest
  @MethodSource("adapters")
  void ranksAndFactorsAreThoseOfPeft(Path golden) {
    try (var adapter = AdapterFolder.open(golden)) {
      var scaling = adapter.config().scaling();
      for (var module : Goldens.json(golden.resolve("scaling.json")).properties()) {
        assertEquals(module.getValue().get("r").asInt(), scaling.rank(module.getKey()));
        assertEquals(
            module.getValue().get("factor").asDouble(), scaling.factor(module.getKey()), 1e-12);
      }
    }
  }

  @Test
  void whatTheConfigurationsSay() {
    try (var adapter = AdapterFolder.open(ADAPTERS.resolve("all-linear"))) {
      var scaling = adapter.config().scaling();
      assertEquals(3, scaling.rank());
      assertEquals(5, scaling.alpha());
      assertTrue(scaling.rankStabilized());
      assertEquals(5 / Math.sqrt(3), scaling.factor(QUERY), 1e-15);
      var update = adapter.updates().get(QUERY);
      assertEquals(List.of(3L, 8L), update.a().shape());
      assertEquals(List.of(8L, 3L), update.b().shape());
    }
    try (var adapter = AdapterFolder.open(ADAPTERS.resolve("gaussian"))) {
      assertEquals(0.25, adapter.config().dropout());
      assertEquals(2, adapter.config().scaling().factor(QUERY));
    }
    try (var adapter = AdapterFolder.open(ADAPTERS.resolve("regex"))) {
      assertInstanceOf(ModuleNames.Matching.class, adapter.config().targets().names());
    }
  }

  @Test
  void allOptionsUnlikeTheirDefaultsComeBack() {
    var ranks = new LinkedHashMap<String, Integer>();
    ranks.put("v_proj", 3);
    ranks.put("layers.0.mlp.*", 2);
    var alphas = new LinkedHashMap<String, Double>();
    alphas.put("q_proj", 0.5);
    var config =
        new LoraConfig(
            "some/base",
            new Scaling(7, 2.5, true, ranks, alphas),
            0.1,
            new Targets(
                ModuleNames.listed("q_proj", "v_proj"),
                Optional.of(new ModuleNames.Matching(".*\\.3\\..*")),
                Optional.of(new Layers(List.of(0, 3), List.of("layers")))),
            new SavedModules(List.of("embed_tokens", "norm"), true));
    Path file = parent.resolve("adapter_config.json");
    LoraConfigWriter.write(file, config);
    assertEquals(config, LoraConfigReader.read(file));
    var order = LoraConfigReader.read(file).scaling().ranks();
    assertEquals(List.of("v_proj", "layers.0.mlp.*"), List.copyOf(order.keySet()));
    var all = plain(new ModuleNames.AllLinear());
    LoraConfigWriter.write(file, all);
    assertEquals(all, LoraConfigReader.read(file));
    LoraConfigWriter.write(file, plain(new ModuleNames.Matching(".*q_proj")));
    assertTrue(LoraConfigReader.read(file).adapts(QUERY));
    assertEquals("", LoraConfigReader.read(file).base());
  }

  private static LoraConfig plain(ModuleNames names) {
    return new LoraConfig("", Scaling.of(1, 1), 0, Targets.of(names), SavedModules.NONE);
  }

  /** The rule of the first match, and of where in a name a pattern may begin. */
  @Test
  void theFirstPatternThatFitsTheEndOfANameCounts() {
    var ranks = new LinkedHashMap<String, Integer>();
    ranks.put("0.self_attn.q_proj", 2);
    ranks.put("q_proj", 3);
    ranks.put("proj", 4);
    ranks.put("^model.layers.1.mlp.up_proj", 5);
    ranks.put("mlp", 6);
    var scaling = new Scaling(1, 1, false, ranks, new LinkedHashMap<>());
    assertEquals(2, scaling.rank(QUERY));
    assertEquals(3, scaling.rank("model.layers.1.self_attn.q_proj"));
    assertEquals(1, scaling.rank("model.layers.1.self_attn.v_proj"));
    assertEquals(5, scaling.rank("model.layers.1.mlp.up_proj"));
  }

  @Test
  void namesAreMappedBothWays() {
    String a = "base_model.model." + QUERY + ".lora_A.weight";
    String b = "base_model.model." + QUERY + ".lora_B.weight";
    assertEquals(a, AdapterFolder.nameOfA(QUERY));
    assertEquals(b, AdapterFolder.nameOfB(QUERY));
    assertEquals(
        "base_model.model.model.norm.weight", AdapterFolder.nameOfSaved("model.norm.weight"));
  }

  @Test
  void namesSelectWholeParts() {
    assertTrue(ModuleNames.listed("q_proj").select(QUERY));
    assertTrue(ModuleNames.listed("self_attn.q_proj").select(QUERY));
    assertFalse(ModuleNames.listed("proj").select(QUERY));
  }

  @ParameterizedTest
  @MethodSource("refused")
  void anUnsupportedOptionIsRefusedByName(Path file) {
    String option = file.getFileName().toString().replace(".json", "");
    var error = assertThrows(HoldfastException.class, () -> LoraConfigReader.read(file));
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
        "rank_pattern|[4]|map patterns",
        "rank_pattern|{\"q_proj\": 0}|1 or more",
        "rank_pattern|{\"*q\": 1}|not a regular expression",
        "alpha_pattern|{\"q_proj\": \"1\"}|a finite number",
        "alpha_pattern|{\"q(\": 1}|not a regular expression",
        "exclude_modules|\"all-linear\"|nothing would be left",
        "layers_to_transform|[\"0\"]|a list of layers",
        "layers_pattern|\"layers\"|needs layers_to_transform",
        "modules_to_save|[1]|a list of module names",
        "modules_to_save|[\"(\"]|not a regular expression",
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
    refusedTensors(Map.of(name, List.of(2L, 2L)), "has no tensor");
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
        "do not fit the rank 2");
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
