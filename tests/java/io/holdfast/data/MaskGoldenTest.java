package io.holdfast.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicContainer.dynamicContainer;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import io.holdfast.data.ExampleReader.LossOn;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * What is learnt of a conversation is what {@code transformers} finds between marks, whether the
 * template has marks or not.
 */
class MaskGoldenTest {
  private static final Path MASKS = Goldens.path("text/masks");
  private static final Path TEMPLATES = Goldens.path("text/templates");
  private static final JsonNode SAID = Goldens.json(TEMPLATES.resolve("conversations.json"));
  private static final JsonNode MODELS = Goldens.json(MASKS.resolve("models.json"));
  private static final Clock CLOCK =
      Clock.fixed(Instant.parse("2026-03-05T07:08:09Z"), ZoneOffset.UTC);
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir private static Path folder;

  @TestFactory
  Stream<DynamicContainer> learnsWhatTheAssistantSays() {
    var cases = Goldens.lines(MASKS.resolve("cases.jsonl"));
    return MODELS.properties().stream()
        .map(
            model -> {
              var chat =
                  new ChatTokenizer(
                      Tokenizer.load(written(model.getKey(), model.getValue())), CLOCK);
              return dynamicContainer(
                  model.getKey(),
                  cases.stream()
                      .filter(golden -> golden.get("template").asText().equals(model.getKey()))
                      .map(golden -> dynamicTest(name(golden), () -> check(chat, golden))));
            });
  }

  private static void check(ChatTokenizer chat, JsonNode golden) {
    var place = new Place(Path.of("rows.jsonl"), 7);
    var row = (ObjectNode) SAID.get(golden.get("conversation").asText()).deepCopy();
    if (row.has("variables")) {
      row.set("chat_template_kwargs", row.remove("variables"));
    }
    row.set("add_generation_prompt", golden.get("add_generation_prompt"));
    if (golden.has("hidden")) {
      var error = assertThrows(HoldfastException.class, () -> new RowReader(chat).read(row, place));
      assertTrue(error.getMessage().startsWith("rows.jsonl:7: turn 2: "), error.getMessage());
      return;
    }
    int[] ids = Goldens.ints(golden.get("ids"));
    var encoded = new RowReader(chat).read(row, place);
    assertArrayEquals(ids, encoded.ids());
    assertEquals(stretches(golden.get("assistant")), stretches(encoded.assistant()));
    for (var lossOn : LossOn.values()) {
      var learnt =
          switch (lossOn) {
            case COMPLETION -> stretches(golden.get("completion"));
            case ASSISTANT -> stretches(golden.get("assistant"));
            case ALL -> List.of(List.of(1, ids.length));
          };
      var reader = new ExampleReader(new RowReader(chat), lossOn, 4096, Optional.empty());
      if (learnt.isEmpty()) {
        var error = assertThrows(HoldfastException.class, () -> reader.example(row, place));
        assertTrue(error.getMessage().startsWith("rows.jsonl:7: no token of this row is learnt"));
      } else {
        assertEquals(learnt, stretches(reader.example(row, place).target()), lossOn + "");
      }
    }
  }

  private static List<List<Integer>> stretches(JsonNode pairs) {
    var found = new ArrayList<List<Integer>>();
    pairs.forEach(pair -> found.add(List.of(pair.get(0).asInt(), pair.get(1).asInt())));
    return found;
  }

  private static List<List<Integer>> stretches(boolean[] mask) {
    var found = new ArrayList<List<Integer>>();
    for (int i = 0; i < mask.length; i++) {
      int from = i;
      while (i < mask.length && mask[i]) {
        i++;
      }
      if (i > from) {
        found.add(List.of(from, i));
      }
    }
    return found;
  }

  private static Path written(String template, JsonNode model) {
    try {
      var made = Files.createDirectories(folder.resolve(template));
      var base = Goldens.path("text").resolve(model.get("base").asText());
      Files.copy(base.resolve("tokenizer.json"), made.resolve("tokenizer.json"));
      JSON.writeValue(made.resolve("tokenizer_config.json").toFile(), model.get("config"));
      Files.copy(TEMPLATES.resolve(template + ".jinja"), made.resolve("chat_template.jinja"));
      return made;
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static String name(JsonNode golden) {
    return golden.get("conversation").asText()
        + (golden.get("add_generation_prompt").asBoolean() ? "-generate" : "");
  }
}
