package io.holdfast.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TokenizerTest {
  private static final Path LLAMA3 = Goldens.path("text/llama3");

  @TempDir private Path folder;

  @Test
  void namedTokensComeFromTheFolder() {
    try (var llama2 = Tokenizer.load(Goldens.path("text/llama2"));
        var unigram = Tokenizer.load(Goldens.path("text/unigram"))) {
      assertEquals(1, llama2.bosId().getAsInt());
      assertEquals(2, llama2.eosId().getAsInt());
      assertEquals(2, llama2.padId(), "without a pad token the end of sequence pads");
      assertEquals("<s>", llama2.named("bos_token").orElseThrow());
      assertTrue(unigram.bosId().isEmpty());
      assertEquals(0, unigram.padId());
      assertTrue(unigram.isAdded(unigram.id("<extra>").getAsInt()));
    }
  }

  @Test
  void sizeAndIdsCoverVocabularyAndAddedTokens() {
    for (var name : new String[] {"chatml", "llama2", "llama3", "unigram"}) {
      var json = Goldens.json(Goldens.path("text").resolve(name).resolve("tokenizer.json"));
      try (var tokenizer = Tokenizer.load(Goldens.path("text").resolve(name))) {
        int largest = -1;
        for (var token : json.get("added_tokens")) {
          int id = token.get("id").asInt();
          assertEquals(id, tokenizer.id(token.get("content").asText()).getAsInt());
          largest = Math.max(largest, id);
        }
        var vocabulary = json.get("model").get("vocab");
        for (var field : vocabulary.properties()) {
          assertEquals(field.getValue().asInt(), tokenizer.id(field.getKey()).getAsInt());
          largest = Math.max(largest, field.getValue().asInt());
        }
        largest = vocabulary.isArray() ? Math.max(largest, vocabulary.size() - 1) : largest;
        assertEquals(largest + 1, tokenizer.vocabularySize());
      }
    }
  }

  @Test
  void answersEndWithTheTokensOfBothFiles() throws IOException {
    copy(LLAMA3, "tokenizer.json", "tokenizer_config.json");
    Files.writeString(folder.resolve("generation_config.json"), "{\"eos_token_id\": [1, 4]}");
    try (var tokenizer = Tokenizer.load(folder)) {
      assertEquals(Set.of(1, 4), tokenizer.endOfText());
    }
  }

  @Test
  void aFolderWithTokenizerJsonAloneIsEnough() throws IOException {
    copy(LLAMA3, "tokenizer.json");
    try (var tokenizer = ChatTokenizer.load(folder)) {
      assertEquals(Map.of("pad_token", "<|end_of_text|>"), tokenizer.tokenizer().specialTokens());
      assertArrayEquals(new int[] {0}, tokenizer.tokenizer().encode("", true));
    }
  }

  @Test
  void missingAndBrokenFilesAreNamed() throws IOException {
    assertTrue(error().contains("tokenizer.json: there is no tokenizer.json"));
    write("{\"model\": {\n\"vocab\": ");
    assertTrue(error().contains("tokenizer.json: line 2"), error());
    write("{\"model\": {\"type\": \"Nonsense\"}}");
    assertTrue(error().contains("tokenizer.json: is not a tokenizer"), error());
    write("[]");
    assertTrue(error().contains("tokenizer.json: is not a JSON object"), error());
    copy(LLAMA3, "tokenizer.json");
    Files.writeString(folder.resolve("tokenizer_config.json"), "{\"eos_token\": ");
    assertTrue(error().contains("tokenizer_config.json: line 1"), error());
  }

  private String error() {
    var error = assertThrows(HoldfastException.class, () -> Tokenizer.load(folder));
    assertEquals(ExitCode.INPUT, error.exitCode());
    return error.getMessage();
  }

  private void write(String json) throws IOException {
    Files.writeString(folder.resolve("tokenizer.json"), json);
  }

  private void copy(Path from, String... names) throws IOException {
    for (var name : names) {
      Files.write(folder.resolve(name), Files.readAllBytes(from.resolve(name)));
    }
  }
}
