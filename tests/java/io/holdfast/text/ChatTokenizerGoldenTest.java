package io.holdfast.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.DynamicContainer.dynamicContainer;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.Goldens;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.TestFactory;

/** Ids, masks and positions are those of {@code transformers}. */
class ChatTokenizerGoldenTest {
  @TestFactory
  Stream<DynamicContainer> equalsTransformers() {
    return Stream.of("chatml", "chatml-marked", "llama2", "llama3", "unigram")
        .map(
            model -> {
              var folder = Goldens.path("text").resolve(model);
              var tokenizer = ChatTokenizer.load(folder);
              return dynamicContainer(
                  model,
                  Goldens.lines(folder.resolve("cases.jsonl")).stream()
                      .map(
                          golden ->
                              dynamicTest(
                                  golden.get("row").get("id").asText(),
                                  () -> check(tokenizer, golden))));
            });
  }

  private static void check(ChatTokenizer tokenizer, JsonNode golden) {
    var row = golden.get("row");
    var encoded = tokenizer.encode(row(row));
    assertEquals(golden.get("text").asText(), encoded.text());
    assertArrayEquals(Goldens.ints(golden.get("ids")), encoded.ids());
    if (row.has("text")) {
      assertEquals(
          golden.get("decoded").asText(), tokenizer.tokenizer().decode(encoded.ids(), true));
      return;
    }
    var mask = new int[encoded.ids().length];
    for (int i = 0; i < mask.length; i++) {
      mask[i] = encoded.assistant()[i] ? 1 : 0;
    }
    assertArrayEquals(Goldens.ints(golden.get("assistant")), mask, "assistant");
    assertEquals(golden.get("prompt_end").asInt(), encoded.promptEnd(), "prompt end");
    if (golden.get("instruction_end").asInt() >= 0) {
      assertEquals(
          golden.get("instruction_end").asInt(), encoded.instructionEnd(), "instruction end");
    }
  }

  private static Row row(JsonNode row) {
    if (row.has("text")) {
      return new Row.Text(row.get("text").asText());
    }
    List<Message> messages = new ArrayList<>();
    row.get("messages")
        .forEach(m -> messages.add(new Message(m.get("role").asText(), m.get("content").asText())));
    return new Row.Chat(messages, row.path("add_generation_prompt").asBoolean());
  }
}
