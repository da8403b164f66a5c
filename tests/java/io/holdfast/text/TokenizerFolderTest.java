package io.holdfast.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** What the files of a folder say of its tokenizer means what it means to {@code AutoTokenizer}. */
class TokenizerFolderTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir private Path folder;

  @TestFactory
  Stream<DynamicTest> equalsAutoTokenizer() {
    return Goldens.lines(Goldens.path("text/folders/cases.jsonl")).stream()
        .map(row -> dynamicTest(row.get("name").asText(), () -> check(row)));
  }

  private static void check(JsonNode golden) throws IOException {
    var folder = Files.createTempDirectory("tokenizer");
    write(golden, folder);
    try (var tokenizer = Tokenizer.load(folder)) {
      for (var row : golden.get("texts")) {
        var text = row.get(0).asText();
        int[] ids = tokenizer.encode(text, true);
        assertArrayEquals(Goldens.ints(row.get(1)), ids, text);
        assertArrayEquals(Goldens.ints(row.get(2)), tokenizer.encode(text, false), text);
        if (row.size() > 3) {
          assertEquals(row.get(3).asText(), tokenizer.decode(ids, false), text);
          assertEquals(row.get(4).asText(), tokenizer.decode(ids, true), text);
        }
      }
      var special = new HashMap<String, String>();
      golden
          .get("special")
          .properties()
          .forEach(e -> special.put(e.getKey(), e.getValue().asText()));
      assertEquals(special, tokenizer.specialTokens());
      for (var token : golden.get("added")) {
        assertEquals(token.get(0).asInt(), tokenizer.id(token.get(1).asText()).orElse(-1));
        assertTrue(tokenizer.isAdded(token.get(0).asInt()), token.toString());
      }
      assertEquals(golden.get("size").asInt(), tokenizer.vocabularySize());
    } finally {
      try (var files = Files.list(folder)) {
        for (var file : files.toList()) {
          Files.delete(file);
        }
      }
      Files.delete(folder);
    }
  }

  private static void write(JsonNode golden, Path folder) throws IOException {
    var base = Goldens.path("text").resolve(golden.get("base").asText()).resolve("tokenizer.json");
    var tokenizer = (ObjectNode) Goldens.json(base);
    golden.get("tokenizer").properties().forEach(e -> tokenizer.set(e.getKey(), e.getValue()));
    JSON.writeValue(folder.resolve("tokenizer.json").toFile(), tokenizer);
    for (var file : golden.get("files").properties()) {
      JSON.writeValue(folder.resolve(file.getKey()).toFile(), file.getValue());
    }
  }

  /** Folders of byte-level models that name this class are nonsense in transformers itself. */
  @Test
  void aClassOfAnotherKindDoesNotCount() throws IOException {
    copyTokenizer("chatml");
    int[] ids;
    try (var tokenizer = Tokenizer.load(folder)) {
      ids = tokenizer.encode("the cat  sat\n", true);
    }
    Files.writeString(
        folder.resolve("tokenizer_config.json"), "{\"tokenizer_class\": \"LlamaTokenizerFast\"}");
    try (var tokenizer = Tokenizer.load(folder)) {
      assertArrayEquals(ids, tokenizer.encode("the cat  sat\n", true));
      assertEquals("<s>", tokenizer.named("bos_token").orElse("<s>"));
    }
  }

  @Test
  void answersEndWithTheTokensOfTheFolder() throws IOException {
    copyTokenizer("llama3");
    assertEquals(Set.of(), ends());
    Files.writeString(folder.resolve("config.json"), "{\"eos_token_id\": 2}");
    assertEquals(Set.of(2), ends());
    Files.writeString(folder.resolve("generation_config.json"), "{\"bos_token_id\": 0}");
    assertEquals(Set.of(2), ends(), "the configuration counts where the other names none");
    Files.writeString(folder.resolve("generation_config.json"), "{\"eos_token_id\": null}");
    assertEquals(Set.of(2), ends());
    Files.writeString(folder.resolve("generation_config.json"), "{\"eos_token_id\": 1}");
    assertEquals(Set.of(1), ends());
    Files.writeString(folder.resolve("generation_config.json"), "{\"eos_token_id\": [1, 3]}");
    Files.writeString(folder.resolve("tokenizer_config.json"), "{\"eos_token\": \"<|eot_id|>\"}");
    assertEquals(Set.of(1, 3, 4), ends(), "the tokenizer's own always counts");
    for (var wrong : List.of("\"</s>\"", "[1, \"x\"]", "1.5")) {
      Files.writeString(
          folder.resolve("generation_config.json"), "{\"eos_token_id\": " + wrong + "}");
      var error = assertThrows(HoldfastException.class, this::ends);
      assertTrue(error.getMessage().contains("generation_config.json: eos_token_id"), error + "");
    }
  }

  private Set<Integer> ends() {
    try (var tokenizer = Tokenizer.load(folder)) {
      return tokenizer.endOfText();
    }
  }

  @Test
  void theLimitIsTheFoldersUnlessItIsNone() throws IOException {
    copyTokenizer("llama2");
    for (var limit : List.of("1000000000000000019884624838656", "0", "null")) {
      Files.writeString(
          folder.resolve("tokenizer_config.json"), "{\"model_max_length\": " + limit + "}");
      try (var tokenizer = Tokenizer.load(folder)) {
        assertTrue(tokenizer.maxLength().isEmpty(), limit);
      }
    }
    Files.writeString(folder.resolve("tokenizer_config.json"), "{\"model_max_length\": 4096}");
    try (var tokenizer = Tokenizer.load(folder)) {
      assertEquals(4096, tokenizer.maxLength().getAsInt());
    }
  }

  @Test
  void aFolderWithTokenizerModelAloneIsRefusedWithTheRemedy() throws IOException {
    Files.writeString(folder.resolve("tokenizer.model"), "\n");
    var text = refused();
    assertTrue(
        text.contains("tokenizer.json: there is no tokenizer.json, only tokenizer.model"), text);
    assertTrue(text.contains("save_pretrained"), text);
  }

  @Test
  void whatIsNotSupportedIsNamed() throws IOException {
    copyTokenizer("llama2");
    Files.writeString(folder.resolve("tokenizer_config.json"), "{\"split_special_tokens\": true}");
    var text = refused();
    assertTrue(text.contains("tokenizer_config.json: split_special_tokens"), text);
    Files.writeString(
        folder.resolve("tokenizer_config.json"), "{\"added_tokens_decoder\": {\"x\": {}}}");
    assertTrue(refused().contains("added_tokens_decoder: 'x'"), refused());
  }

  private String refused() {
    var error = assertThrows(HoldfastException.class, () -> Tokenizer.load(folder));
    assertEquals(ExitCode.INPUT, error.exitCode());
    return error.getMessage();
  }

  private void copyTokenizer(String model) throws IOException {
    Files.copy(
        Goldens.path("text").resolve(model).resolve("tokenizer.json"),
        folder.resolve("tokenizer.json"));
  }
}
