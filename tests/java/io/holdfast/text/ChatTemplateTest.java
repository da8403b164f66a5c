package io.holdfast.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** Templates of the public families render as jinja2 renders them. */
class ChatTemplateTest {
  private static final Path FOLDER = Goldens.path("text/templates");
  private static final Map<String, String> SPECIAL =
      Map.of("bos_token", "<s>", "eos_token", "</s>");
  private static final ObjectMapper JSON = new ObjectMapper();

  @TestFactory
  Stream<DynamicTest> rendersAsJinja2() {
    return Goldens.lines(FOLDER.resolve("cases.jsonl")).stream()
        .map(row -> dynamicTest(row.get("id").asText(), () -> check(row)));
  }

  private static void check(JsonNode row) {
    var template = template(row.get("template").asText());
    var chat = chat(row);
    if (row.has("text")) {
      assertEquals(row.get("text").asText(), template.render(chat).text());
      return;
    }
    var refusal = assertThrows(HoldfastException.class, () -> template.render(chat));
    assertEquals(ExitCode.INPUT, refusal.exitCode());
    if (row.has("refused")) {
      assertTrue(refusal.getMessage().endsWith(row.get("refused").asText()), refusal.getMessage());
    }
  }

  @Test
  void aFaultNamesFileAndLine(@TempDir Path folder) throws IOException {
    copy("chatml", folder);
    Files.writeString(
        folder.resolve("chat_template.jinja"), "{% for m in messages %}\n{{ m.x.y }}{% endfor %}");
    try (var chat = ChatTokenizer.load(folder)) {
      var text = fault(() -> chat.render(List.of(new Message("user", "hm")), true));
      assertTrue(text.contains("chat_template.jinja: ") && text.contains("line 2: "), text);
      assertEquals(2, chat.encode(new Row.Text("the cat")).ids().length);
    }
    Files.writeString(folder.resolve("chat_template.jinja"), "{% for m in messages %}");
    try (var chat = ChatTokenizer.load(folder)) {
      var text = fault(() -> chat.render(List.of(new Message("user", "hm")), true));
      assertTrue(text.contains("chat_template.jinja: "), text);
    }
  }

  @Test
  void theFileComesBeforeTheConfiguration(@TempDir Path folder) throws IOException {
    copy("llama3", folder);
    try (var chat = ChatTokenizer.load(folder)) {
      assertTrue(chat.render(List.of(new Message("user", "hm")), true).startsWith("<|begin_of"));
    }
    Files.writeString(
        folder.resolve("chat_template.jinja"), "{{ messages[0].content }}{{ tools }}");
    try (var chat = ChatTokenizer.load(folder)) {
      assertEquals("hmNone", chat.render(List.of(new Message("user", "hm")), true));
    }
  }

  private static void copy(String model, Path folder) throws IOException {
    for (var name : List.of("tokenizer.json", "tokenizer_config.json")) {
      Files.copy(Goldens.path("text").resolve(model).resolve(name), folder.resolve(name));
    }
  }

  private static String fault(Executable action) {
    var error = assertThrows(HoldfastException.class, action);
    assertEquals(ExitCode.INPUT, error.exitCode());
    return error.getMessage();
  }

  private static ChatTemplate template(String name) {
    var file = FOLDER.resolve(name + ".jinja");
    try {
      return new ChatTemplate(file, Files.readString(file), SPECIAL);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Row.Chat chat(JsonNode row) {
    var messages = new ArrayList<Message>();
    for (var message : row.get("messages")) {
      var fields = new LinkedHashMap<String, Object>();
      message
          .properties()
          .forEach(
              field ->
                  fields.put(field.getKey(), JSON.convertValue(field.getValue(), Object.class)));
      messages.add(new Message(fields));
    }
    var tools = new ArrayList<Object>();
    row.path("tools").forEach(tool -> tools.add(JSON.convertValue(tool, Object.class)));
    return new Row.Chat(messages, List.copyOf(tools), row.get("add_generation_prompt").asBoolean());
  }
}
