package io.holdfast.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import io.holdfast.data.ExampleReader.LossOn;
import io.holdfast.text.ChatTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ExampleReaderTest {
  private static final ChatTokenizer CHATML = ChatTokenizer.load(Goldens.path("text/chatml"));
  private static final ChatTokenizer LLAMA2 = ChatTokenizer.load(Goldens.path("text/llama2"));
  private static final ChatTokenizer PLAIN = ChatTokenizer.load(Goldens.path("text/unigram"));
  private static final String TWO_TURNS =
      """
      {"messages": [{"role": "user", "content": "how?"}, {"role": "assistant", "content": "so"},\
       {"role": "user", "content": "and tea?"}, {"role": "assistant", "content": "boil water"}]}
      """;

  @TempDir private Path folder;

  @AfterAll
  static void close() {
    CHATML.close();
    LLAMA2.close();
    PLAIN.close();
  }

  @Test
  void completionIsTheLastTurnWithItsEnd() {
    assertEquals(List.of("boil water<|im_end|>"), learnt(CHATML, LossOn.COMPLETION, TWO_TURNS));
  }

  @Test
  void assistantIsEveryTurnWithItsEnd() {
    assertEquals(
        List.of("so<|im_end|>", "boil water<|im_end|>"),
        learnt(CHATML, LossOn.ASSISTANT, TWO_TURNS));
  }

  @Test
  void allIsEverythingButTheFirstToken() {
    var example = read(CHATML, LossOn.ALL, TWO_TURNS).examples().getFirst();
    assertFalse(example.target()[0]);
    assertEquals(example.ids().length - 1, example.supervised());
  }

  @Test
  void promptAndInstructionAndShareGptAreConversations() {
    var chat =
        """
        {"messages": [{"role": "user", "content": "add\\n\\n1 2"},\
         {"role": "assistant", "content": "3"}]}
        """;
    var same =
        List.of(
            "{\"prompt\": \"add\\n\\n1 2\", \"completion\": \"3\"}",
            "{\"instruction\": \"add\", \"input\": \"1 2\", \"output\": \"3\"}",
            "{\"instruction\": \"add\\n\\n1 2\", \"input\": \"\", \"output\": \"3\"}",
            "{\"prompt\": [{\"role\": \"user\", \"content\": \"add\\n\\n1 2\"}],"
                + " \"completion\": [{\"role\": \"assistant\", \"content\": \"3\"}]}",
            "{\"conversations\": [{\"from\": \"human\", \"value\": \"add\\n\\n1 2\"},"
                + " {\"from\": \"gpt\", \"value\": \"3\"}]}");
    for (var tokenizer : List.of(CHATML, LLAMA2)) {
      var expected = read(tokenizer, LossOn.COMPLETION, chat).examples().getFirst();
      for (var row : same) {
        var example = read(tokenizer, LossOn.COMPLETION, row).examples().getFirst();
        assertArrayEquals(expected.ids(), example.ids(), row);
        assertArrayEquals(expected.target(), example.target(), row);
        assertEquals(expected.instructionEnd(), example.instructionEnd(), row);
        assertEquals(expected.promptEnd(), example.promptEnd(), row);
      }
    }
  }

  @Test
  void conversationsHaveExactlyOneBos() {
    var ids = read(LLAMA2, LossOn.COMPLETION, row("cook", "rice")).examples().getFirst().ids();
    int bos = LLAMA2.tokenizer().bosId().getAsInt();
    assertEquals(bos, ids[0]);
    assertEquals(1, java.util.Arrays.stream(ids).filter(id -> id == bos).count());
  }

  @Test
  void textWithItsBosWrittenOutGetsNoSecond() {
    var bare = read(LLAMA2, LossOn.COMPLETION, "{\"text\": \"the cat\"}").examples().getFirst();
    int bos = LLAMA2.tokenizer().bosId().getAsInt();
    assertEquals(bos, bare.ids()[0]);
    var written = read(LLAMA2, LossOn.ALL, "{\"text\": \"<s>the cat\"}").examples().getFirst();
    assertEquals(bos, written.ids()[0]);
    assertTrue(written.ids()[1] != bos);
  }

  @Test
  void textIsLearntWholeWhateverTheLossIsOn() {
    for (var lossOn : LossOn.values()) {
      var example = read(CHATML, lossOn, "{\"text\": \"the cat sat\"}").examples().getFirst();
      assertEquals(example.ids().length - 1, example.supervised());
    }
  }

  @Test
  void rawRowsAreJoinedAsTheyAre() {
    var row = "{\"prompt\": \"<|im_start|>user\\nmix\", \"completion\": \" fine\", \"raw\": true}";
    assertEquals(List.of(" fine"), learnt(CHATML, LossOn.COMPLETION, row));
    var example = read(CHATML, LossOn.COMPLETION, row).examples().getFirst();
    assertEquals("<|im_start|>user\nmix fine", CHATML.tokenizer().decode(example.ids(), false));
  }

  @Test
  void withoutATemplateTheAnswerEndsWithTheEndOfSequence() {
    var example = read(PLAIN, LossOn.COMPLETION, row("the cat", " sat")).examples().getFirst();
    int eos = PLAIN.tokenizer().eosId().getAsInt();
    assertTrue(example.target()[example.ids().length - 1]);
    assertEquals(eos, example.ids()[example.ids().length - 1]);
    assertFalse(example.target()[example.promptEnd()]);
    assertTrue(example.target()[example.promptEnd() + 1]);
  }

  @Test
  void longRowsAreCutAndCountedAndDroppedWhenNothingIsLeft() {
    var whole = read(CHATML, LossOn.COMPLETION, row("cook", "rice")).examples().getFirst();
    int promptLength = whole.promptEnd() + 1;
    var rows = row("cook", "rice") + "\n" + row("cook rice and bread and tea", "no") + "\n";
    var result = reader(CHATML, LossOn.COMPLETION, promptLength + 1).read(files(rows));
    assertEquals(1, result.examples().size());
    assertEquals(2, result.cut());
    assertEquals(1, result.dropped());
    assertEquals(promptLength + 1, result.examples().getFirst().ids().length);
    assertEquals(1, result.examples().getFirst().supervised());
    assertTrue(
        message(() -> reader(CHATML, LossOn.COMPLETION, promptLength).read(files(rows)))
            .contains("max_length"));
  }

  @Test
  void riskIsReadAndChecked() {
    var rows = "{\"text\": \"a b\", \"r\": 0.25}\n{\"text\": \"c d\", \"r\": 1}\n";
    var reader = new ExampleReader(new RowReader(CHATML), LossOn.ALL, 64, Optional.of("r"));
    var examples = reader.read(files(rows)).examples();
    assertEquals(0.25f, examples.get(0).risk());
    assertEquals(1f, examples.get(1).risk());
    for (var bad : List.of("1.5", "-0.1", "\"high\"", "null")) {
      var text = message(() -> reader.read(files("{\"text\": \"a b\", \"r\": " + bad + "}")));
      assertTrue(text.contains("rows.jsonl:1: ") && text.contains("'r'"), text);
    }
    assertTrue(message(() -> reader.read(files("{\"text\": \"a b\"}"))).contains("missing"));
  }

  @Test
  void idsAndPlacesAreKept() {
    var examples =
        read(CHATML, LossOn.ALL, "\n{\"id\": \"x\", \"text\": \"a b\"}\n\n{\"text\": \"c d\"}")
            .examples();
    assertEquals("x", examples.get(0).id());
    assertEquals(2, examples.get(0).place().line());
    assertEquals(4, examples.get(1).place().line());
  }

  @Test
  void rowsThatTeachNothingAreNamed() {
    var open = "{\"messages\": [{\"role\": \"user\", \"content\": \"hm\"}]}";
    var text = message(() -> read(CHATML, LossOn.COMPLETION, row("a", "b") + "\n" + open));
    assertTrue(text.contains("rows.jsonl:2: no token of this row is learnt"), text);
  }

  @Test
  void aTemplateThatRefusesIsQuotedWithTheRow() {
    var twice =
        "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"},"
            + " {\"role\": \"user\", \"content\": \"b\"}]}";
    var text = message(() -> read(LLAMA2, LossOn.COMPLETION, row("a", "b") + "\n" + twice));
    assertTrue(text.contains("rows.jsonl:2: "), text);
    assertTrue(text.contains("Turns must alternate"), text);
  }

  @Test
  void conversationsNeedATemplate() {
    var text = message(() -> read(PLAIN, LossOn.COMPLETION, TWO_TURNS));
    assertTrue(text.contains("rows.jsonl:1: ") && text.contains("chat_template.jinja"), text);
  }

  @Test
  void unknownShapesNameTheirFieldsAndTheKnownOnes() {
    var text = message(() -> read(CHATML, LossOn.ALL, "{\"question\": \"?\", \"answer\": \"!\"}"));
    assertTrue(text.contains("question, answer"), text);
    assertTrue(text.contains("messages") && text.contains("prompt and completion"), text);
  }

  @Test
  void whatTheTemplateIsToldComesFromTheRow() throws IOException {
    for (var name : List.of("tokenizer.json", "tokenizer_config.json")) {
      Files.copy(Goldens.path("text/chatml").resolve(name), folder.resolve(name));
    }
    Files.writeString(
        folder.resolve("chat_template.jinja"),
        "{{ messages[0].content }}|{{ tools }}|{{ documents }}|{{ mode }}|"
            + "{% generation %}{{ messages[-1].content }}{% endgeneration %}");
    var row = "{\"prompt\": \"p\", \"completion\": \"c\"%s}";
    try (var told = ChatTokenizer.load(folder)) {
      assertEquals("p|None|None||c", text(told, row.formatted("")));
      assertEquals(
          "p|[{'name': 'f'}]|[]|1|c",
          text(
              told,
              row.formatted(
                  ", \"tools\": [{\"name\": \"f\"}], \"documents\": [],"
                      + " \"chat_template_kwargs\": {\"mode\": 1}")));
      assertEquals(
          "p|[{'name': 'f'}]|None|x|c",
          text(
              told,
              row.formatted(
                  ", \"tools\": \"[{\\\"name\\\": \\\"f\\\"}]\", \"documents\": \"\","
                      + " \"chat_template_kwargs\": \"{\\\"mode\\\": \\\"x\\\"}\"")));
      for (var bad :
          List.of(
              "\"tools\": {}",
              "\"tools\": [1]",
              "\"tools\": \"f\"",
              "\"documents\": [\"d\"]",
              "\"chat_template_kwargs\": []",
              "\"chat_template_kwargs\": {\"messages\": []}")) {
        var name = bad.substring(1, bad.indexOf('"', 1));
        var text = message(() -> read(told, LossOn.ALL, row.formatted(", " + bad)));
        assertTrue(text.contains("rows.jsonl:1: '" + name + "'"), text);
      }
    }
  }

  private String text(ChatTokenizer tokenizer, String row) {
    return tokenizer
        .tokenizer()
        .decode(read(tokenizer, LossOn.ALL, row).examples().getFirst().ids(), false);
  }

  @Test
  void badTurnsAreNamed() {
    for (var turns :
        List.of(
            "[]",
            "\"hm\"",
            "[{\"role\": \"user\"}]",
            "[{\"content\": \"hm\"}]",
            "[{\"role\": \"user\", \"content\": 3}]")) {
      var text = message(() -> read(CHATML, LossOn.ALL, "{\"messages\": " + turns + "}"));
      assertTrue(text.contains("rows.jsonl:1: field 'messages'"), text);
    }
  }

  @Test
  void anEmptyFileIsAnError() {
    assertTrue(message(() -> read(CHATML, LossOn.ALL, "\n\n")).contains("empty"));
  }

  @Test
  void severalShapesInOneRowAreAnError() {
    var both = "{\"text\": \"a\", \"prompt\": \"b\", \"completion\": \"c\"}";
    var text = message(() -> read(CHATML, LossOn.ALL, both));
    assertTrue(text.contains("rows.jsonl:1: the columns text, prompt, completion"), text);
    assertTrue(text.contains("prompt and completion; text"), text);
    assertTrue(text.contains("data.columns"), text);
    var ids = "{\"tokens\": [1, 2], \"text\": \"for people\"}";
    assertArrayEquals(new int[] {1, 2}, read(CHATML, LossOn.ALL, ids).examples().getFirst().ids());
  }

  @Test
  void aNullFieldIsNamed() {
    var text = message(() -> read(CHATML, LossOn.ALL, "{\"prompt\": \"a\", \"completion\": null}"));
    assertTrue(text.contains("rows.jsonl:1: the field 'completion' is null"), text);
  }

  @Test
  void systemTurnsComeFirst() {
    var chat =
        """
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "a\\n\\nb"},\
         {"role": "assistant", "content": "c"}]}
        """;
    var expected = read(CHATML, LossOn.COMPLETION, chat).examples().getFirst();
    for (var row :
        List.of(
            "{\"instruction\": \"a\", \"input\": \"b\", \"output\": \"c\", \"system\": \"s\"}",
            "{\"instruction\": \"a\", \"context\": \"b\", \"response\": \"c\", \"system\": \"s\"}",
            "{\"prompt\": \"a\\n\\nb\", \"completion\": \"c\", \"system\": \"s\"}",
            "{\"system\": \"s\", \"conversations\": [{\"from\": \"human\", \"value\": \"a\\n"
                + "\\n"
                + "b\"}, {\"from\": \"gpt\", \"value\": \"c\"}]}",
            "{\"conversations\": [{\"role\": \"system\", \"content\": \"s\"},"
                + " {\"role\": \"user\", \"content\": \"a\\n\\nb\"},"
                + " {\"role\": \"assistant\", \"content\": \"c\"}]}")) {
      var example = read(CHATML, LossOn.COMPLETION, row).examples().getFirst();
      assertArrayEquals(expected.ids(), example.ids(), row);
      assertArrayEquals(expected.target(), example.target(), row);
    }
    var bare = "{\"prompt\": \"a\", \"completion\": \"c\", \"system\": \"s\"}";
    assertTrue(message(() -> read(PLAIN, LossOn.ALL, bare)).contains("'system' needs a chat"));
  }

  private static String row(String prompt, String completion) {
    return "{\"prompt\": \"%s\", \"completion\": \"%s\"}".formatted(prompt, completion);
  }

  private ExampleReader.Result read(ChatTokenizer tokenizer, LossOn lossOn, String rows) {
    return reader(tokenizer, lossOn, 256).read(files(rows));
  }

  private static ExampleReader reader(ChatTokenizer tokenizer, LossOn lossOn, int maxLength) {
    return new ExampleReader(new RowReader(tokenizer), lossOn, maxLength, Optional.empty());
  }

  private List<Path> files(String rows) {
    try {
      return List.of(Files.writeString(folder.resolve("rows.jsonl"), rows));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  /** The stretches of text that a single row teaches. */
  private List<String> learnt(ChatTokenizer tokenizer, LossOn lossOn, String row) {
    var example = read(tokenizer, lossOn, row).examples().getFirst();
    var stretches = new ArrayList<String>();
    int from = -1;
    for (int i = 0; i <= example.ids().length; i++) {
      boolean target = i < example.ids().length && example.target()[i];
      if (target && from < 0) {
        from = i;
      } else if (!target && from >= 0) {
        int[] ids = java.util.Arrays.copyOfRange(example.ids(), from, i);
        stretches.add(tokenizer.tokenizer().decode(ids, false));
        from = -1;
      }
    }
    return stretches;
  }

  private static String message(org.junit.jupiter.api.function.Executable action) {
    var error = assertThrows(HoldfastException.class, action);
    assertEquals(ExitCode.INPUT, error.exitCode());
    return error.getMessage();
  }
}
