package io.holdfast.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Renders a conversation with the model's own Jinja template. */
public final class ChatTemplate {
  private final Jinjava jinja;
  private final String source;
  private final Map<String, Object> tokens;
  private final Path folder;

  private ChatTemplate(String source, Map<String, Object> tokens, Path folder) {
    this.jinja =
        new Jinjava(
            JinjavaConfig.newBuilder()
                .withTrimBlocks(true)
                .withLstripBlocks(true)
                .withKeepTrailingNewline(true)
                .withLegacyOverrides(
                    LegacyOverrides.newBuilder().withUsePyishObjectMapper(true).build())
                .build());
    jinja
        .getGlobalContext()
        .registerFunction(
            new ELFunctionDefinition(
                "", "raise_exception", ChatTemplate.class, "raise", Object.class));
    jinja
        .getGlobalContext()
        .registerFunction(
            new ELFunctionDefinition("", "strftime_now", ChatTemplate.class, "now", String.class));
    this.source = source;
    this.tokens = tokens;
    this.folder = folder;
  }

  /** Called by a template that refuses a conversation. */
  public static Object raise(Object message) {
    throw new TemplateRefusal(String.valueOf(message));
  }

  /** Called by a template that writes today's date, with a format of C's {@code strftime}. */
  public static String now(String format) {
    var letters = Map.of('d', "dd", 'b', "MMM", 'B', "MMMM", 'Y', "yyyy", 'm', "MM", 'H', "HH");
    var pattern = new StringBuilder();
    for (int i = 0; i < format.length(); i++) {
      char c = format.charAt(i);
      if (c == '%' && i + 1 < format.length() && letters.containsKey(format.charAt(i + 1))) {
        pattern.append(letters.get(format.charAt(++i)));
      } else {
        pattern.append('\'').append(c == '\'' ? "''" : c).append('\'');
      }
    }
    return LocalDateTime.now().format(DateTimeFormatter.ofPattern(pattern.toString()));
  }

  /** What a template says when it refuses a conversation. */
  private static final class TemplateRefusal extends RuntimeException {
    TemplateRefusal(String message) {
      super(message);
    }
  }

  /**
   * The template of a model folder: {@code chat_template.jinja}, or the one in {@code
   * tokenizer_config.json}.
   *
   * @throws HoldfastException if there is none
   */
  public static ChatTemplate load(Tokenizer tokenizer) {
    var folder = tokenizer.folder();
    var named = new HashMap<String, Object>();
    for (var name : List.of("bos_token", "eos_token", "pad_token", "unk_token")) {
      tokenizer.named(name).ifPresent(token -> named.put(name, token));
    }
    return new ChatTemplate(source(folder, tokenizer.config()), named, folder);
  }

  private static String source(Path folder, JsonNode config) {
    var file = folder.resolve("chat_template.jinja");
    if (Files.isRegularFile(file)) {
      try {
        return Files.readString(file);
      } catch (IOException e) {
        throw HoldfastException.input("%s: cannot be read (%s)", file, e.getMessage());
      }
    }
    var inside = config.path("chat_template");
    if (inside.isTextual()) {
      return inside.asText();
    }
    for (var one : inside) {
      if (one.path("name").asText().equals("default")) {
        return one.path("template").asText();
      }
    }
    throw HoldfastException.input(
        "%s: the model has no chat template (chat_template.jinja, or chat_template in"
            + " tokenizer_config.json). Add one, or give rows as text or tokens.",
        folder);
  }

  /**
   * The text of a conversation.
   *
   * @param addGenerationPrompt whether it ends with the opening of an answer
   * @throws HoldfastException if the template refuses the conversation or has a fault
   */
  public String render(List<Message> messages, boolean addGenerationPrompt) {
    var bindings = new HashMap<>(tokens);
    bindings.put(
        "messages",
        messages.stream()
            .map(
                message -> {
                  var turn = new LinkedHashMap<String, Object>();
                  turn.put("role", message.role());
                  turn.put("content", message.content());
                  return turn;
                })
            .toList());
    bindings.put("add_generation_prompt", addGenerationPrompt);
    RenderResult result = jinja.renderForResult(source, bindings);
    if (!result.getErrors().isEmpty()) {
      var error = result.getErrors().getFirst();
      for (Throwable cause = error.getException(); cause != null; cause = cause.getCause()) {
        if (cause instanceof TemplateRefusal refusal) {
          throw HoldfastException.input(
              "%s: the chat template refuses this conversation: %s", folder, refusal.getMessage());
        }
      }
      throw HoldfastException.input(
          "%s: the chat template has a fault in line %d: %s",
          folder, error.getLineno(), error.getMessage());
    }
    return result.getOutput();
  }
}
