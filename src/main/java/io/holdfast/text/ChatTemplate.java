package io.holdfast.text;

import io.holdfast.HoldfastException;
import io.holdfast.text.jinja.Fault;
import io.holdfast.text.jinja.Refusal;
import io.holdfast.text.jinja.Rendered;
import io.holdfast.text.jinja.Template;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A model's own chat template, rendered as {@code transformers} does it. A model may have several
 * under different names: a row with tools takes {@code tool_use}, any other {@code default}.
 */
public final class ChatTemplate {
  private static final String DEFAULT = "default";
  private static final String WITH_TOOLS = "tool_use";

  private final Map<String, Named> templates;
  private final Map<String, String> specialTokens;
  private final Clock clock;

  /**
   * Templates by name.
   *
   * @param specialTokens variables such as {@code bos_token}
   * @param clock whose time {@code strftime_now} tells
   */
  ChatTemplate(Map<String, Named> templates, Map<String, String> specialTokens, Clock clock) {
    this.templates = templates;
    this.specialTokens = specialTokens;
    this.clock = clock;
  }

  /** One template, parsed when first needed: a strange one must not be in the way of other rows. */
  static final class Named {
    private final Path source;
    private final String written;
    private volatile Template parsed;

    Named(Path source, String written) {
      this.source = source;
      this.written = written;
    }

    private Template parsed() {
      if (parsed == null) {
        parsed = Template.parse(written);
      }
      return parsed;
    }
  }

  /** The templates of a model folder, if it has any. */
  static Optional<ChatTemplate> load(Tokenizer tokenizer, Clock clock) {
    var templates = TemplateFiles.read(tokenizer.folder());
    return templates.isEmpty()
        ? Optional.empty()
        : Optional.of(new ChatTemplate(templates, tokenizer.specialTokens(), clock));
  }

  /**
   * Renders a conversation.
   *
   * @throws HoldfastException with the template's own words if it refuses the conversation
   */
  public Rendered render(Row.Chat chat) {
    var variables = new LinkedHashMap<String, Object>(specialTokens);
    variables.put("tools", null);
    variables.put("documents", null);
    variables.putAll(chat.variables());
    var messages = new ArrayList<Object>();
    chat.messages().forEach(message -> messages.add(message.fields()));
    variables.put("messages", messages);
    variables.put("add_generation_prompt", chat.addGenerationPrompt());
    var template = chosen(variables.get("tools") != null);
    try {
      return template.parsed().render(variables, clock);
    } catch (Refusal e) {
      throw HoldfastException.input(
              "the chat template refuses this conversation: %s", e.getMessage())
          .causedBy(e);
    } catch (Fault e) {
      throw HoldfastException.input(
              "%s: the chat template cannot be rendered: %s", template.source, e.getMessage())
          .causedBy(e);
    }
  }

  private Named chosen(boolean tools) {
    return List.of(tools ? WITH_TOOLS : DEFAULT, DEFAULT).stream()
        .filter(templates::containsKey)
        .findFirst()
        .map(templates::get)
        .orElseThrow(
            () ->
                HoldfastException.input(
                    "%s: of the chat templates %s none is called '%s'; give one that name",
                    templates.values().iterator().next().source,
                    String.join(", ", templates.keySet()),
                    DEFAULT));
  }
}
