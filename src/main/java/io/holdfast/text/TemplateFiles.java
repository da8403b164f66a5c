package io.holdfast.text;

import io.holdfast.HoldfastException;
import io.holdfast.text.ChatTemplate.Named;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.Map;
import java.util.TreeMap;

/**
 * Where a model folder keeps its chat templates: {@code chat_template.jinja}, and more of them in
 * {@code additional_chat_templates/NAME.jinja}. Where there are none of these, {@code
 * chat_template} of {@code tokenizer_config.json}: a text, or a list of named ones.
 */
final class TemplateFiles {
  private TemplateFiles() {}

  /** Templates by name. */
  static Map<String, Named> read(Path folder) {
    var templates = new TreeMap<String, Named>();
    in(folder).forEach((name, file) -> templates.put(name, new Named(file, text(file))));
    return templates.isEmpty() ? older(folder.resolve("tokenizer_config.json")) : templates;
  }

  /** Files of templates by their names. */
  static Map<String, Path> in(Path folder) {
    var found = new TreeMap<String, Path>();
    var main = folder.resolve("chat_template.jinja");
    if (Files.isRegularFile(main)) {
      found.put("default", main);
    }
    var more = folder.resolve("additional_chat_templates");
    if (Files.isDirectory(more)) {
      try (var files = Files.newDirectoryStream(more, "*.jinja")) {
        files.forEach(
            file -> found.put(file.getFileName().toString().replaceFirst("\\.jinja$", ""), file));
      } catch (IOException e) {
        throw HoldfastException.unreadable(more, e);
      }
    }
    return found;
  }

  private static String text(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw HoldfastException.unreadable(file, e);
    }
  }

  private static Map<String, Named> older(Path config) {
    var templates = new TreeMap<String, Named>();
    JsonFile.read(config)
        .map(json -> json.path("chat_template"))
        .ifPresent(
            field -> {
              if (field.isTextual()) {
                templates.put("default", new Named(config, field.textValue()));
              }
              if (field.isObject()) {
                field
                    .properties()
                    .forEach(
                        e -> templates.put(e.getKey(), new Named(config, e.getValue().asText())));
                return;
              }
              for (var named : field) {
                if (!named.path("name").isTextual() || !named.path("template").isTextual()) {
                  throw HoldfastException.input(
                      "%s: chat_template must be a text or a list of {name, template}", config);
                }
                templates.put(
                    named.get("name").textValue(),
                    new Named(config, named.get("template").textValue()));
              }
            });
    return templates;
  }

  /**
   * What {@code strftime_now} reads: the time that {@code SOURCE_DATE_EPOCH} fixes, in seconds and
   * UTC, so that a run can be repeated on another day; else the local time.
   */
  static Clock clock() {
    return clock(System.getenv("SOURCE_DATE_EPOCH"));
  }

  static Clock clock(String fixed) {
    if (fixed == null || fixed.isBlank()) {
      return Clock.systemDefaultZone();
    }
    try {
      return Clock.fixed(Instant.ofEpochSecond(Long.parseLong(fixed.strip())), ZoneOffset.UTC);
    } catch (NumberFormatException e) {
      throw HoldfastException.usage(
          "SOURCE_DATE_EPOCH must be a number of seconds since 1970, it is '%s'", fixed);
    }
  }
}
