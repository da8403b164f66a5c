package io.holdfast.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the assistant says is found in the templates of all families. */
class AssistantTurnsTest {
  private static final List<Message> TURNS =
      List.of(
          new Message("user", "how do I cook rice?"),
          new Message("assistant", "Wash it."),
          new Message("user", "And tea?"),
          new Message("assistant", "Boil water."));

  @TempDir private Path folder;

  private ChatTokenizer chat(String template) throws IOException {
    var chatml = Goldens.path("text/chatml");
    for (var name : List.of("tokenizer.json", "tokenizer_config.json")) {
      Files.copy(chatml.resolve(name), folder.resolve(name));
    }
    Files.writeString(folder.resolve("chat_template.jinja"), template);
    return ChatTokenizer.load(folder);
  }

  private static String template(String name) throws IOException {
    return Files.readString(Goldens.path("text/templates").resolve(name + ".jinja"));
  }

  private static List<String> said(ChatTokenizer chat, Encoded encoded) {
    var said = new ArrayList<String>();
    int from = -1;
    for (int i = 0; i <= encoded.ids().length; i++) {
      boolean assistant = i < encoded.ids().length && encoded.assistant()[i];
      if (assistant && from < 0) {
        from = i;
      } else if (!assistant && from >= 0) {
        said.add(
            chat.tokenizer().decode(Arrays.copyOfRange(encoded.ids(), from, i), false).strip());
        from = -1;
      }
    }
    return said;
  }

  @ParameterizedTest
  @CsvSource({
    "chatml, <|im_end|>, true",
    "chatml-marked, <|im_end|>, true",
    "llama3, <|eot_id|>, true",
    "qwen2, <|im_end|>, true",
    "gemma, <end_of_turn>, false",
    "gemma3, <end_of_turn>, true",
    "phi3, <|im_end|>, true",
    "mistral, <|im_end|>, false", // it forgets the system's turn once the assistant has answered
    "llama2, <|im_end|>, true"
  })
  void everyTurnWithItsEnd(String name, String end, boolean system) throws IOException {
    var source =
        template(name)
            .replace("bos_token", "'<|endoftext|>'")
            .replace("<|user|>", "<|im_start|>")
            .replace("<|end|>", "<|im_end|>");
    try (var chat = chat(source)) {
      var separator = name.equals("llama2") ? " " : "";
      for (boolean withSystem : system ? new boolean[] {false, true} : new boolean[] {false}) {
        var turns = new ArrayList<>(TURNS);
        if (withSystem) {
          turns.addFirst(new Message("system", "Be brief."));
        }
        var encoded = chat.encode(turns, false);
        var last = end + (name.equals("phi3") ? "\n<|im_end|>" : ""); // and its eos_token
        assertEquals(
            List.of("Wash it." + separator + end, "Boil water." + separator + last),
            said(chat, encoded));
        var prompt = chat.encode(turns.subList(0, turns.size() - 1), true);
        assertArrayEquals(
            prompt.ids(),
            Arrays.copyOf(encoded.ids(), encoded.promptEnd() + 1),
            "the prompt is what generation starts from");
        assertEquals(prompt.instructionEnd(), encoded.instructionEnd());
        int[] instruction =
            Arrays.copyOfRange(
                encoded.ids(), encoded.instructionEnd() - 1, encoded.instructionEnd() + 1);
        assertTrue("And tea?".endsWith(chat.tokenizer().decode(instruction, false).stripLeading()));
      }
    }
  }

  /** Qwen 3 writes empty thoughts into the last answer only, so earlier turns are no prefixes. */
  @Test
  void aTurnThatChangesWhenOthersFollowIsFoundAllTheSame() throws IOException {
    try (var chat = chat(template("qwen3"))) {
      var encoded = chat.encode(TURNS, false);
      assertEquals(
          List.of("Wash it.<|im_end|>", "<think>\n\n</think>\n\nBoil water.<|im_end|>"),
          said(chat, encoded));
    }
  }

  @Test
  void aTemplateThatHidesTheAssistantIsRefused() throws IOException {
    var hidden =
        "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}";
    try (var chat = chat(hidden)) {
      var encoded = chat.encode(TURNS.subList(0, 1), true);
      assertFalse(encoded.assistant()[0]);
      var shuffled =
          "{% for m in messages %}{{ m.content }}{% endfor %}{{ messages[1].content if"
              + " messages|length > 1 }}";
      Files.writeString(folder.resolve("chat_template.jinja"), shuffled);
    }
    try (var chat = ChatTokenizer.load(folder)) {
      var error = assertThrows(HoldfastException.class, () -> chat.encode(TURNS, false));
      assertTrue(error.getMessage().contains("generation"), error.getMessage());
    }
  }

  @Test
  void theInstructionIsFoundBehindToolTurns() throws IOException {
    try (var chat = chat(template("qwen2"))) {
      var turns =
          List.of(
              new Message("user", "rain today?"),
              new Message("assistant", "Looking."),
              new Message("tool", "sunny"));
      var encoded = chat.encode(turns, true);
      int[] upTo = Arrays.copyOf(encoded.ids(), encoded.instructionEnd() + 1);
      assertTrue(chat.tokenizer().decode(upTo, false).endsWith("rain today?"));
      assertEquals(encoded.ids().length - 1, encoded.promptEnd());
    }
  }

  @Test
  void positionsAreNamed() throws IOException {
    try (var chat = chat(template("chatml"))) {
      var encoded = chat.encode(TURNS, false);
      int n = encoded.ids().length;
      assertArrayEquals(new int[] {n - 1}, encoded.at(Position.LAST));
      assertEquals(n, encoded.at(Position.ALL).length);
      int[] response = encoded.at(Position.RESPONSE);
      assertEquals(
          "Boil water.<|im_end|>",
          chat.tokenizer()
              .decode(
                  Arrays.copyOfRange(encoded.ids(), response[0], response[response.length - 1] + 1),
                  false));
      assertEquals(response[0] - 1, encoded.at(Position.PROMPT_END)[0]);
      assertEquals(
          "<|im_end|>\n<|im_start|>assistant\n",
          chat.tokenizer().decode(chat.promptSuffix(), false));
      assertEquals(
          encoded.promptEnd() - chat.promptSuffix().length,
          encoded.at(Position.INSTRUCTION_END)[0]);
      var plain = chat.encode(new Row.Text("the cat"));
      assertThrows(HoldfastException.class, () -> plain.at(Position.PROMPT_END));
    }
  }
}
