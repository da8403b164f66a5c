package io.holdfast.text;

import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A model's own chat template: {@code chat_template.jinja} of its folder, or {@code chat_template}
 * of its {@code tokenizer_config.json}, rendered as {@code transformers} does it.
 */
public final class ChatTemplate {
  private final Path source;
  private final Jinja jinja;
  private final Map<String, String> specialTokens;

  ChatTemplate(Path source, String template, Map<String, String> specialTokens) {
    this.source = source;
    this.jinja = new Jinja(template);
    this.specialTokens = specialTokens;
  }

  /**
   * A rendered conversation.
   *
   * @param generated what the template marks as said by the assistant ({@code {% generation %}}),
   *     in code points; empty where it marks nothing
   */
  public record Rendered(String text, List<Span> generated) {}

  /** Code points {@code from} (inclusive) to {@code to} (exclusive) of a text. */
  public record Span(int from, int to) {}

  /** The template of a model folder, if it has one. */
  static Optional<ChatTemplate> load(Tokenizer tokenizer) {
    var folder = tokenizer.folder();
    var specialTokens = tokenizer.specialTokens();
    var file = folder.resolve("chat_template.jinja");
    if (Files.isRegularFile(file)) {
      try {
        return Optional.of(new ChatTemplate(file, Files.readString(file), specialTokens));
      } catch (IOException e) {
        throw HoldfastException.input("%s: cannot be read (%s)", file, e.getMessage()).causedBy(e);
      }
    }
    var config = folder.resolve("tokenizer_config.json");
    return JsonFile.read(config)
        .map(json -> json.path("chat_template"))
        .flatMap(
            field -> {
              if (field.isTextual()) {
                return Optional.of(field.textValue());
              }
              // The older form: a list of named templates, of which one is the default.
              for (var named : field) {
                if (named.path("name").asText().equals("default")) {
                  return Optional.of(named.path("template").asText());
                }
              }
              return Optional.empty();
            })
        .map(template -> new ChatTemplate(config, template, specialTokens));
  }

  /**
   * Renders a conversation.
   *
   * @throws HoldfastException with the template's own words if it refuses the conversation
   */
  public Rendered render(Row.Chat chat) {
    var variables = new LinkedHashMap<String, Object>(specialTokens);
    var messages = new ArrayList<Object>();
    chat.messages().forEach(message -> messages.add(message.fields()));
    variables.put("messages", messages);
    variables.put("add_generation_prompt", chat.addGenerationPrompt());
    if (!chat.tools().isEmpty()) {
      variables.put("tools", chat.tools());
    }
    try {
      return marked(jinja.render(variables));
    } catch (Jinja.Raised e) {
      throw HoldfastException.input("the chat template refuses this row: %s", e.getMessage())
          .causedBy(e);
    } catch (Jinja.Failed e) {
      throw HoldfastException.input(
              "%s: the chat template cannot be rendered: %s", source, e.getMessage())
          .causedBy(e);
    }
  }

  /** Takes the marks of generated text out and notes where they were. */
  private static Rendered marked(String output) {
    if (output.indexOf(Jinja.GENERATION_START) < 0) {
      return new Rendered(output, List.of());
    }
    var text = new StringBuilder();
    var spans = new ArrayList<Span>();
    int from = 0;
    int at = 0;
    for (int c : output.codePoints().toArray()) {
      switch (c) {
        case Jinja.GENERATION_START -> from = at;
        case Jinja.GENERATION_END -> spans.add(new Span(from, at));
        default -> {
          text.appendCodePoint(c);
          at++;
        }
      }
    }
    return new Rendered(text.toString(), spans);
  }
}
