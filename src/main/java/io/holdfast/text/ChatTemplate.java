package io.holdfast.text;

import io.holdfast.HoldfastException;
import io.holdfast.text.jinja.Fault;
import io.holdfast.text.jinja.Refusal;
import io.holdfast.text.jinja.Rendered;
import io.holdfast.text.jinja.Template;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * A model's own chat template: {@code chat_template.jinja} of its folder, or {@code chat_template}
 * of its {@code tokenizer_config.json}, rendered as {@code transformers} does it.
 */
public final class ChatTemplate {
  private final Path source;
  private final String written;
  private final Map<String, String> specialTokens;
  private volatile Template parsed;

  ChatTemplate(Path source, String written, Map<String, String> specialTokens) {
    this.source = source;
    this.written = written;
    this.specialTokens = specialTokens;
  }

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
    variables.put("tools", chat.tools().isEmpty() ? null : chat.tools());
    variables.put("documents", null);
    try {
      return parsed().render(variables);
    } catch (Refusal e) {
      throw HoldfastException.input(
              "the chat template refuses this conversation: %s", e.getMessage())
          .causedBy(e);
    } catch (Fault e) {
      throw HoldfastException.input(
              "%s: the chat template cannot be rendered: %s", source, e.getMessage())
          .causedBy(e);
    }
  }

  /** Parsed when first needed: a strange template must not be in the way of rows without it. */
  private Template parsed() {
    if (parsed == null) {
      parsed = Template.parse(written);
    }
    return parsed;
  }
}
