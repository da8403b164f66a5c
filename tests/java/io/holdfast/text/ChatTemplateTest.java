package io.holdfast.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import io.holdfast.text.jinja.Span;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
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
  private static final Clock CLOCK =
      Clock.fixed(Instant.parse("2026-03-05T07:08:09Z"), ZoneOffset.UTC);
  private static final JsonNode CONVERSATIONS = Goldens.json(FOLDER.resolve("conversations.json"));
  private static final ObjectMapper JSON = new ObjectMapper();

  @TestFactory
  Stream<DynamicTest> rendersAsJinja2() {
    return Goldens.lines(FOLDER.resolve("cases.jsonl")).stream()
        .map(
            row ->
                dynamicTest(
                    row.get("template").asText()
                        + "/"
                        + row.get("conversation").asText()
                        + (row.get("add_generation_prompt").asBoolean() ? "-generate" : ""),
                    () -> check(row)));
  }

  private static void check(JsonNode row) {
    var template = template(row.get("template").asText());
    var said = CONVERSATIONS.get(row.get("conversation").asText());
    var chat = chat(said, row.get("add_generation_prompt").asBoolean());
    if (row.has("text")) {
      var rendered = template.render(chat);
      assertEquals(row.get("text").asText(), rendered.text());
      assertEquals(
          row.has("generated"), rendered.generated().isPresent(), "marked what is generated");
      var spans = new ArrayList<Span>();
      row.path("generated").forEach(s -> spans.add(new Span(s.get(0).asInt(), s.get(1).asInt())));
      assertEquals(spans, rendered.generated().orElse(List.of()));
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

  @Test
  void rowsWithToolsTakeTheTemplateForThem(@TempDir Path folder) throws IOException {
    copy("chatml", folder);
    var tools = new Row.Chat(ASK, Map.of("tools", List.of(Map.of("name", "f"))), false);
    var documents = new Row.Chat(ASK, Map.of("documents", List.of()), false);
    config(
        folder,
        "[{\"name\": \"rag\", \"template\": \"r\"}, {\"name\": \"tool_use\", \"template\": \"t\"},"
            + " {\"name\": \"default\", \"template\": \"d{{ documents }}\"}]");
    assertEquals(List.of("dNone", "t", "d[]"), texts(folder, plain(), tools, documents));
    config(folder, "{\"default\": \"d\"}");
    assertEquals(List.of("d", "d"), texts(folder, plain(), tools));
    config(folder, "[{\"name\": \"tool_use\", \"template\": \"t\"}]");
    assertEquals(List.of("t"), texts(folder, tools));
    var text = fault(() -> texts(folder, plain()));
    assertTrue(text.contains("tokenizer_config.json") && text.contains("tool_use"), text);
    config(folder, "[\"d\"]");
    assertTrue(
        fault(() -> texts(folder, plain())).contains("a text or a list of {name, template}"));
  }

  @Test
  void additionalTemplatesLieInTheirFolder(@TempDir Path folder) throws IOException {
    copy("chatml", folder);
    var tools = new Row.Chat(ASK, Map.of("tools", List.of()), false);
    config(folder, "\"older\"");
    assertEquals(List.of("older", "older"), texts(folder, plain(), tools));
    var more = Files.createDirectories(folder.resolve("additional_chat_templates"));
    Files.writeString(more.resolve("tool_use.jinja"), "t{{ tools }}");
    assertEquals(List.of("t[]"), texts(folder, tools));
    assertTrue(fault(() -> texts(folder, plain())).contains("none is called 'default'"));
    Files.writeString(folder.resolve("chat_template.jinja"), "d");
    assertEquals(List.of("d", "t[]"), texts(folder, plain(), tools));
  }

  @Test
  void theDateCanBeFixed() {
    assertEquals(
        Instant.parse("2001-09-09T01:46:40Z"), TemplateFiles.clock("1000000000").instant());
    assertTrue(TemplateFiles.clock("").instant().isAfter(Instant.parse("2025-01-01T00:00:00Z")));
    var error = assertThrows(HoldfastException.class, () -> TemplateFiles.clock("today"));
    assertEquals(ExitCode.USAGE, error.exitCode());
    assertTrue(error.getMessage().contains("SOURCE_DATE_EPOCH"), error.getMessage());
  }

  private static final List<Message> ASK = List.of(new Message("user", "hm"));

  private static Row.Chat plain() {
    return new Row.Chat(ASK, false);
  }

  private static void config(Path folder, String template) throws IOException {
    Files.writeString(
        folder.resolve("tokenizer_config.json"), "{\"chat_template\": " + template + "}");
  }

  private static List<String> texts(Path folder, Row.Chat... rows) {
    try (var chat = ChatTokenizer.load(folder)) {
      return Stream.of(rows).map(row -> chat.encode(row).text()).toList();
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
      var written = new ChatTemplate.Named(file, Files.readString(file));
      return new ChatTemplate(Map.of("default", written), SPECIAL, CLOCK);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Row.Chat chat(JsonNode said, boolean addGenerationPrompt) {
    var messages = new ArrayList<Message>();
    said.get("messages").forEach(message -> messages.add(new Message(plain(message))));
    var variables =
        plain(said.path("variables").isObject() ? said.get("variables") : JSON.createObjectNode());
    for (var name : List.of("tools", "documents")) {
      if (said.has(name)) {
        variables.put(name, JSON.convertValue(said.get(name), Object.class));
      }
    }
    return new Row.Chat(messages, variables, addGenerationPrompt);
  }

  private static Map<String, Object> plain(JsonNode object) {
    return JSON.convertValue(object, new TypeReference<LinkedHashMap<String, Object>>() {});
  }
}
