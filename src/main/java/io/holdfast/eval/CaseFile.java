package io.holdfast.eval;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
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
 * Reads prompts from JSON Lines.
 *
 * <p>The request is {@code messages} (a last assistant turn is taken off and is the reference),
 * {@code prompt}, or {@code instruction} with an optional {@code input}. The reference is {@code
 * reference}, {@code completion} or {@code output}; it may be absent.
 */
final class CaseFile {
  private static final ObjectMapper JSON = new ObjectMapper();

  private CaseFile() {}

  static List<Case> read(Path file, int limit) {
    var cases = new ArrayList<Case>();
    try (var lines = Files.newBufferedReader(file)) {
      int number = 0;
      for (var line = lines.readLine();
          line != null && cases.size() < limit;
          line = lines.readLine()) {
        number++;
        if (!line.isBlank()) {
          cases.add(new Row(file, number, parse(file, number, line)).toCase());
        }
      }
    } catch (IOException e) {
      throw HoldfastException.unreadable(file, e);
    }
    if (cases.isEmpty()) {
      throw HoldfastException.input("%s: has no rows; a set needs at least one prompt", file);
    }
    return cases;
  }

  private static JsonNode parse(Path file, int number, String line) {
    try {
      var row = JSON.readTree(line);
      if (row.isObject()) {
        return row;
      }
    } catch (JsonProcessingException e) {
      throw HoldfastException.input(
              "%s:%d: is not JSON (%s); each line is one object",
              file, number, e.getOriginalMessage())
          .causedBy(e);
    }
    throw HoldfastException.input("%s:%d: is not a JSON object", file, number);
  }

  private record Row(Path file, int number, JsonNode json) {
    Case toCase() {
      var turns = new ArrayList<>(turns());
      var reference = first("reference", "completion", "output");
      if (turns.getLast().role().equals("assistant")) {
        reference = reference.or(() -> Optional.of(turns.getLast().content()));
        turns.removeLast();
      }
      if (turns.isEmpty() || !turns.getLast().role().equals("user")) {
        throw bad("messages", "must end with a user turn, or a user and an assistant turn");
      }
      var id = json.hasNonNull("id") ? json.get("id").asText() : String.valueOf(number);
      return new Case(new Prompt(id, List.copyOf(turns)), reference, fields());
    }

    private List<Prompt.Turn> turns() {
      if (json.has("messages")) {
        var messages = json.get("messages");
        if (!messages.isArray() || messages.isEmpty()) {
          throw bad("messages", "must be a list of turns");
        }
        var turns = new ArrayList<Prompt.Turn>();
        messages.forEach(m -> turns.add(new Prompt.Turn(text(m, "role"), text(m, "content"))));
        return turns;
      }
      var input = first("input").filter(i -> !i.isBlank()).map(i -> "\n\n" + i).orElse("");
      return first("prompt")
          .or(() -> first("instruction").map(i -> i + input))
          .map(request -> List.of(new Prompt.Turn("user", request)))
          .orElseThrow(
              () ->
                  HoldfastException.input(
                      "%s:%d: has none of 'messages', 'prompt' and 'instruction'", file, number));
    }

    private String text(JsonNode message, String field) {
      if (!message.path(field).isTextual()) {
        throw bad("messages", "must have a text '%s' in every turn".formatted(field));
      }
      return message.get(field).textValue();
    }

    private Optional<String> first(String... names) {
      for (var name : names) {
        if (json.hasNonNull(name)) {
          if (!json.get(name).isTextual()) {
            throw bad(name, "must be text");
          }
          return Optional.of(json.get(name).textValue());
        }
      }
      return Optional.empty();
    }

    private Map<String, String> fields() {
      var fields = new LinkedHashMap<String, String>();
      json.properties().stream()
          .filter(e -> e.getValue().isTextual())
          .forEach(e -> fields.put(e.getKey(), e.getValue().textValue()));
      return fields;
    }

    private HoldfastException bad(String field, String rule) {
      return HoldfastException.input("%s:%d: '%s' %s", file, number, field, rule);
    }
  }
}
