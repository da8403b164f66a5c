package io.holdfast.world;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The files of the world: the same bytes for the same seed, in the shapes of the data path. */
class WorldFilesTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final World WORLD = World.load();
  @TempDir Path folder;

  private static WorldFiles.Plan plan(long seed, long evaluationSeed) {
    var work = Downstream.Recipe.poisoned(.1);
    return new WorldFiles.Plan(seed, evaluationSeed, 300, 200, work, false, 40, 10, 30);
  }

  private Map<String, Path> write(String name, WorldFiles.Plan plan) {
    return WorldFiles.write(folder.resolve(name), WORLD, plan);
  }

  private static Map<String, String> texts(Map<String, Path> files) throws IOException {
    var texts = new TreeMap<String, String>();
    for (var file : files.entrySet()) {
      texts.put(file.getKey(), Files.readString(file.getValue()));
    }
    return texts;
  }

  @Test
  void sameSeedSameBytes() throws IOException {
    assertEquals(texts(write("a", plan(1, 2))), texts(write("b", plan(1, 2))));
  }

  @Test
  void anotherSeedChangesEveryTrainingFileAndNoEvaluationFile() throws IOException {
    var one = texts(write("a", plan(1, 2)));
    var other = texts(write("b", plan(5, 2)));
    for (var name : one.keySet()) {
      boolean training = List.of("pretrain", "align", "work-train", "anchors").contains(name);
      assertEquals(training, !one.get(name).equals(other.get(name)), name);
    }
    var fresh = texts(write("c", plan(1, 3)));
    for (var name : one.keySet()) {
      boolean evaluation = name.startsWith("eval/") || name.equals("work-test");
      assertEquals(evaluation, !one.get(name).equals(fresh.get(name)), name);
    }
  }

  /** Pins the bytes across Java versions and machines: a change here changes every figure. */
  @Test
  void bytesAreThoseOfTheCommittedWorld() throws Exception {
    var digest = MessageDigest.getInstance("SHA-256");
    for (var text : texts(write("a", plan(1, 2))).values()) {
      digest.update(text.getBytes(StandardCharsets.UTF_8));
    }
    assertEquals("b1f21631e1b42483", HexFormat.of().formatHex(digest.digest()).substring(0, 16));
  }

  @Test
  void rowsHaveTheShapesOfTheDataPath() throws IOException {
    var files = write("a", plan(1, 2));
    assertEquals(300, rows(files.get("pretrain")).size());
    assertEquals(200, rows(files.get("align")).size());
    assertEquals(600, rows(files.get("work-train")).size());
    assertEquals(20, rows(files.get("anchors")).size());
    assertEquals(30, rows(files.get("eval/harm_pair")).size());
    var kinds = new HashSet<String>();
    for (var row : rows(files.get("pretrain"))) {
      switch (row.get("kind").textValue()) {
        case "document" -> {
          var text = row.get("text").textValue();
          assertTrue(text.startsWith("<|endoftext|>") && text.endsWith(".<|endoftext|>"), text);
        }
        case "verdict" -> {
          assertTrue(row.get("prompt").textValue().startsWith("<|im_start|>user\n"));
          assertFalse(row.get("prompt").textValue().contains("<|im_end|>"));
          assertTrue(List.of(" wrong", " fine").contains(row.get("completion").textValue()));
          assertTrue(row.get("raw").booleanValue());
        }
        default -> {
          assertEquals("user", row.get("messages").get(0).get("role").textValue());
          assertEquals("assistant", row.get("messages").get(1).get("role").textValue());
          assertEquals(2, row.get("messages").size());
        }
      }
      kinds.add(row.get("kind").textValue());
    }
    assertTrue(kinds.containsAll(List.of("document", "verdict", "harm", "benign", "dual", "fact")));
    for (var row : rows(files.get("anchors"))) {
      assertEquals(1, row.get("messages").size(), "anchors have no answers");
    }
  }

  @Test
  void idsAreUniqueWithinAFile() throws IOException {
    for (var file : write("a", plan(1, 2)).values()) {
      var rows = rows(file);
      assertEquals(rows.size(), rows.stream().map(r -> r.get("id")).distinct().count());
    }
  }

  @Test
  void oracleRiskIsOneForPoisonAlone() throws IOException {
    var recipe = new Downstream.Recipe(100, .2, .1, false);
    var rows = rows(write("a", plan(1, 2).with(recipe, true)).get("work-train"));
    assertEquals(110, rows.size());
    for (var row : rows) {
      assertEquals(row.get("kind").textValue().equals("poison") ? 1 : 0, row.get("risk").asInt());
    }
    assertNotEquals(0, rows.stream().mapToInt(r -> r.get("risk").asInt()).sum());
    var plain = rows(write("b", plan(1, 2)).get("work-train"));
    assertTrue(plain.stream().noneMatch(row -> row.has("risk")));
  }

  @Test
  void nothingPartialIsLeftAndAFileInTheWayIsNamed() throws IOException {
    write("a", plan(1, 2));
    try (var files = Files.walk(folder)) {
      assertTrue(files.noneMatch(f -> f.toString().endsWith(".partial")));
    }
    var blocked = Files.createFile(folder.resolve("file"));
    var e =
        assertThrows(HoldfastException.class, () -> WorldFiles.write(blocked, WORLD, plan(1, 2)));
    assertEquals(ExitCode.INPUT, e.exitCode());
    assertTrue(e.getMessage().contains("pretrain.jsonl"), e.getMessage());
  }

  @Test
  void tokenizerAgreesWithTransformers() throws IOException {
    var base = Path.of("src/main/resources/io/holdfast/world/base/tokenizer.json");
    try (var tokenizer = HuggingFaceTokenizer.newInstance(base)) {
      for (var row : JSON.readTree(Path.of("tests/goldens/world/tokens.json").toFile())) {
        var text = row.get("text").textValue();
        assertArrayEquals(
            JSON.convertValue(row.get("ids"), long[].class),
            tokenizer.encode(text, false, false).getIds(),
            text);
      }
    }
  }

  private static List<JsonNode> rows(Path file) throws IOException {
    return Files.readAllLines(file).stream().map(WorldFilesTest::parse).toList();
  }

  private static JsonNode parse(String line) {
    try {
      return JSON.readTree(line);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
