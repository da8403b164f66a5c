package io.holdfast.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelFolderTest {
  private static final Path SINGLE = Goldens.path("checkpoint/single");
  private static final Path SHARDED = Goldens.path("checkpoint/sharded");

  @TempDir Path parent;

  private static void refused(Path folder, String... parts) {
    var error = assertThrows(HoldfastException.class, () -> ModelFolder.open(folder).close());
    assertEquals(ExitCode.INPUT, error.exitCode());
    assertTrue(error.getMessage().contains(folder.toString()), error.getMessage());
    for (String part : parts) {
      assertTrue(error.getMessage().contains(part), error.getMessage());
    }
  }

  /** A copy of a golden that a test may damage. */
  private Path copy(Path golden) throws IOException {
    Path copy = Files.createDirectory(parent.resolve("copy"));
    try (Stream<Path> files = Files.list(golden)) {
      for (Path file : files.toList()) {
        Files.copy(file, copy.resolve(file.getFileName()));
      }
    }
    return copy;
  }

  /** The tensors of a folder in the order in which the model declares them. */
  private static List<TensorEntry> inOrder(ModelFolder model) {
    List<TensorEntry> tensors = new ArrayList<>();
    for (JsonNode name : Goldens.json(Goldens.path("checkpoint/order.json"))) {
      tensors.add(model.tensor(name.asText()));
    }
    return tensors;
  }

  private static void assertSameFiles(Path expected, Path actual) throws IOException {
    assertEquals(names(expected), names(actual));
    for (String name : names(expected)) {
      if (name.equals("config.json")) {
        // Numbers such as 1e-06 may be spelt differently.
        assertEquals(Goldens.json(expected.resolve(name)), Goldens.json(actual.resolve(name)));
      } else {
        assertEquals(-1, Files.mismatch(expected.resolve(name), actual.resolve(name)), name);
      }
    }
  }

  private static List<String> names(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void shardsHoldWhatTheSingleFileHolds() {
    try (var single = ModelFolder.open(SINGLE);
        var sharded = ModelFolder.open(SHARDED)) {
      assertEquals(21, single.names().size());
      assertEquals(single.names(), sharded.names());
      for (String name : single.names()) {
        assertEquals(single.tensor(name).toString(), sharded.tensor(name).toString());
        assertEquals(-1, single.tensor(name).data().mismatch(sharded.tensor(name).data()), name);
      }
      assertEquals("llama", sharded.config().get("model_type").asText());
      assertEquals(1, sharded.generationConfig().orElseThrow().get("bos_token_id").asInt());
    }
  }

  @Test
  void aSavedFolderIsTheOneThatTransformersWrites() throws IOException {
    Path folder = parent.resolve("single");
    try (var model = ModelFolder.open(SHARDED)) {
      ModelFolder.save(folder, model.config(), inOrder(model), SHARDED, ModelFolder.SHARD_BYTES);
    }
    assertSameFiles(SINGLE, folder);
  }

  @Test
  void savedShardsAndIndexAreThoseThatTransformersWrites() throws IOException {
    Path folder = parent.resolve("sharded");
    try (var model = ModelFolder.open(SINGLE)) {
      ModelFolder.save(folder, model.config(), inOrder(model), SINGLE, 600);
    }
    assertSameFiles(SHARDED, folder);
  }

  @Test
  void aTensorLongerThanAShardGetsItsOwn() throws IOException {
    Path folder = parent.resolve("model");
    var tensors =
        List.of(
            TensorEntry.of("small", List.of(1L), new float[1]),
            TensorEntry.of("large", List.of(100L), new float[100]),
            TensorEntry.of("other", List.of(1L), new float[1]));
    ModelFolder.save(folder, JsonFile.object(), tensors, SINGLE, 8);
    var index = Goldens.json(folder.resolve("model.safetensors.index.json"));
    assertEquals(408, index.at("/metadata/total_size").asLong());
    assertEquals(102, index.at("/metadata/total_parameters").asLong());
    // As huggingface_hub divides: the small ones stay together.
    assertEquals("model-00001-of-00002.safetensors", index.at("/weight_map/large").asText());
    assertEquals(index.at("/weight_map/small"), index.at("/weight_map/other"));
  }

  @Test
  void aFolderCanBeSavedOverTheOneItIsMappedFrom() throws IOException {
    Path folder = copy(SINGLE);
    try (var model = ModelFolder.open(folder)) {
      ModelFolder.save(folder, model.config(), inOrder(model), folder, 600);
      assertEquals(21, model.names().size());
      assertFalse(Files.exists(folder.resolve("model.safetensors")));
    }
    assertSameFiles(SHARDED, folder);
  }

  @Test
  void tokenizerFilesTravelWithTheWeights() throws IOException {
    Path source = copy(SINGLE);
    List<String> travel =
        List.of(
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "chat_template.jinja",
            "vocab.json",
            "merges.txt",
            "added_tokens.json",
            "generation_config.json");
    for (String name : travel) {
      Files.writeString(source.resolve(name), "{\"" + name + "\": 1}");
    }
    Files.writeString(source.resolve("training_args.bin"), "stays");
    Path folder = parent.resolve("saved");
    try (var model = ModelFolder.open(source)) {
      ModelFolder.save(folder, model.config(), inOrder(model), source, ModelFolder.SHARD_BYTES);
    }
    for (String name : travel) {
      assertEquals(-1, Files.mismatch(source.resolve(name), folder.resolve(name)), name);
    }
    assertFalse(Files.exists(folder.resolve("training_args.bin")));
  }

  @Test
  void theHashIsOfTheWeightsAndNotOfTheirFiles() throws IOException {
    String hash;
    try (var single = ModelFolder.open(SINGLE);
        var sharded = ModelFolder.open(SHARDED)) {
      hash = single.hash();
      assertTrue(hash.matches("[0-9a-f]{64}"), hash);
      assertEquals(hash, single.hash());
      assertEquals(hash, sharded.hash());
    }
    Path changed = copy(SINGLE);
    byte[] bytes = Files.readAllBytes(changed.resolve("model.safetensors"));
    bytes[bytes.length - 1] ^= 1;
    Files.write(changed.resolve("model.safetensors"), bytes);
    try (var model = ModelFolder.open(changed)) {
      assertNotEquals(hash, model.hash());
    }
  }

  @Test
  void theHashKnowsNamesTypesAndShapes() {
    var bytes = new float[] {1, 2};
    var x = TensorEntry.of("x", List.of(2L), bytes);
    var data = MemorySegment.ofArray(bytes);
    var others =
        List.of(
            TensorEntry.of("y", List.of(2L), bytes),
            TensorEntry.of("x", List.of(2L, 1L), bytes),
            new TensorEntry("x", io.holdfast.kernels.DType.INT32, List.of(2L), data),
            TensorEntry.of("x", List.of(2L), new float[] {1, 3}));
    for (TensorEntry other : others) {
      assertNotEquals(WeightsHash.of(List.of(x)), WeightsHash.of(List.of(other)), other.toString());
    }
    var y = x.named("y");
    assertEquals(WeightsHash.of(List.of(x, y)), WeightsHash.of(List.of(y, x)));
  }

  @Test
  void noSuchFolder() {
    refused(parent.resolve("absent"), "no such folder", "config.json", "model.safetensors");
  }

  @Test
  void aFileInstead() throws IOException {
    refused(Files.createFile(parent.resolve("file")), "not a folder");
  }

  @Test
  void noConfig() throws IOException {
    Path folder = copy(SINGLE);
    Files.delete(folder.resolve("config.json"));
    refused(folder, "there is no config.json");
  }

  @Test
  void anAdapterInstead() {
    refused(Goldens.path("checkpoint/adapters/list"), "this is an adapter");
  }

  @Test
  void brokenConfigIsPlaced() throws IOException {
    Path folder = copy(SINGLE);
    Files.writeString(folder.resolve("config.json"), "{\n  \"a\": 1,\n  \"a\": 2\n}");
    refused(folder, "config.json: line 3", "Duplicate");
    Files.writeString(folder.resolve("config.json"), "{\n  \"a\": ");
    refused(folder, "config.json: line 2", "not valid JSON");
    Files.writeString(folder.resolve("config.json"), "[1]");
    refused(folder, "config.json", "no JSON object");
  }

  @Test
  void noWeights() throws IOException {
    Path folder = copy(SINGLE);
    Files.delete(folder.resolve("model.safetensors"));
    refused(folder, "there are no weights");
  }

  @Test
  void pickledWeightsAreNeverReadAndTheRemedyIsGiven() throws IOException {
    Path folder = copy(SINGLE);
    Files.move(folder.resolve("model.safetensors"), folder.resolve("pytorch_model.bin"));
    refused(folder, "pytorch_model", "never read", "save_pretrained");
  }

  @Test
  void truncatedWeights() throws IOException {
    Path folder = copy(SINGLE);
    byte[] bytes = Files.readAllBytes(folder.resolve("model.safetensors"));
    Files.write(
        folder.resolve("model.safetensors"), java.util.Arrays.copyOf(bytes, bytes.length - 1));
    refused(folder, "model.safetensors", "truncated");
  }

  @Test
  void missingShard() throws IOException {
    Path folder = copy(SHARDED);
    Files.delete(folder.resolve("model-00003-of-00005.safetensors"));
    refused(folder, "the shard model-00003-of-00005.safetensors is missing");
  }

  @Test
  void indexNamesATensorThatTheShardLacks() throws IOException {
    Path folder = copy(SHARDED);
    replaceInIndex(folder, "\"lm_head.weight\"", "\"lm_tail.weight\"");
    refused(folder, "tensor lm_tail.weight is said to be in model-00005-of-00005.safetensors");
  }

  @Test
  void indexPointsOutOfTheFolder() throws IOException {
    Path folder = copy(SHARDED);
    replaceInIndex(folder, "\"model-00005", "\"../model-00005");
    refused(folder, "lm_head.weight", "not the name of a .safetensors file in this folder");
  }

  @Test
  void indexWithoutAMap() throws IOException {
    Path folder = copy(SHARDED);
    replaceInIndex(folder, "weight_map", "weights");
    refused(folder, "weight_map is missing");
  }

  private static void replaceInIndex(Path folder, String what, String by) throws IOException {
    Path index = folder.resolve("model.safetensors.index.json");
    Files.writeString(index, Files.readString(index).replace(what, by));
  }

  @Test
  void unknownTensor() {
    try (var model = ModelFolder.open(SINGLE)) {
      var error =
          assertThrows(
              HoldfastException.class, () -> model.tensor("model.layers.0.mlp.up_proj.weigth"));
      assertTrue(
          error.getMessage().contains("did you mean model.layers.0.mlp.up_proj.weight?"),
          error.getMessage());
    }
  }

  @Test
  void useAfterCloseIsAnIllegalState() {
    var model = ModelFolder.open(SINGLE);
    var data = model.tensor("lm_head.weight").data();
    model.close();
    model.close();
    assertThrows(IllegalStateException.class, () -> model.tensor("lm_head.weight"));
    assertThrows(IllegalStateException.class, () -> data.get(ValueLayout.JAVA_BYTE, 0));
  }

  @Test
  void aFolderOfOtherThingsIsNeverReplaced() throws IOException {
    Path mine = Files.createDirectory(parent.resolve("mine"));
    Files.writeString(mine.resolve("thesis.txt"), "years of work");
    var error =
        assertThrows(
            HoldfastException.class,
            () -> ModelFolder.save(mine, JsonFile.object(), List.of(), SINGLE, 1000));
    assertEquals(ExitCode.USAGE, error.exitCode());
    assertTrue(error.getMessage().contains("choose a new folder"), error.getMessage());
    assertEquals("years of work", Files.readString(mine.resolve("thesis.txt")));
    assertEquals(List.of("mine"), names(parent));
  }

  @Test
  void anEmptyFolderIsFilled() throws IOException {
    Path folder = Files.createDirectory(parent.resolve("empty"));
    ModelFolder.save(folder, JsonFile.object(), List.of(), SINGLE, 1000);
    assertTrue(Files.exists(folder.resolve("model.safetensors")));
    assertEquals(List.of("empty"), names(parent));
  }

  @Test
  void aLinkToAFolderStaysALink() throws IOException {
    Path real = Files.createDirectory(parent.resolve("real"));
    Path link = Files.createSymbolicLink(parent.resolve("link"), real);
    ModelFolder.save(link, JsonFile.object(), List.of(), SINGLE, 1000);
    assertTrue(Files.isSymbolicLink(link));
    assertTrue(Files.exists(real.resolve("model.safetensors")));
  }
}
