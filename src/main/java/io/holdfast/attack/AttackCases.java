package io.holdfast.attack;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.data.Place;
import io.holdfast.data.Rows;
import io.holdfast.eval.Case;
import io.holdfast.eval.Prompt;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * Requests to attack with, in the files of the field: HarmBench's behaviours with its targets,
 * AdvBench's {@code goal,target}, JailbreakBench's, or rows with {@code prompt} and {@code target}.
 * The names of columns are read whatever their case.
 */
public final class AttackCases {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String CONTEXT = "%s\n\n---\n\n%s";

  private final Map<String, String> targets;
  private final Optional<String> target;

  private AttackCases(Map<String, String> targets, Optional<String> target) {
    this.targets = targets;
    this.target = target;
  }

  /**
   * Reads the cases of a file.
   *
   * @param targets HarmBench's file of targets, {@code {id: text}} or {@code {id: [text, ...]}}, of
   *     which the first is taken
   * @param target of rows that bring none
   * @throws HoldfastException if a row has no request or no target, or two rows one id
   */
  public static List<AttackCase> read(Path file, Optional<Path> targets, Optional<String> target) {
    var reader = new AttackCases(targets.map(AttackCases::targets).orElse(Map.of()), target);
    var cases = new ArrayList<AttackCase>();
    var seen = new HashMap<String, Place>();
    Rows.read(
        file,
        (row, place) -> {
          var read = reader.read(row, place);
          var first = seen.putIfAbsent(read.id(), place);
          if (first != null) {
            throw place.bad("id %s is also the id of %s; give each case its own", read.id(), first);
          }
          cases.add(read);
        });
    if (cases.isEmpty()) {
      throw HoldfastException.input("%s: has no rows; an attack needs at least one request", file);
    }
    return cases;
  }

  private static Map<String, String> targets(Path file) {
    try {
      var found = new HashMap<String, String>();
      var json = JSON.readTree(file.toFile());
      json.properties()
          .forEach(
              entry -> {
                var value =
                    entry.getValue().isArray() ? entry.getValue().path(0) : entry.getValue();
                if (!value.isTextual()) {
                  throw HoldfastException.input(
                      "%s: '%s' must be a text, or a list of texts", file, entry.getKey());
                }
                found.put(entry.getKey(), value.textValue());
              });
      return found;
    } catch (IOException e) {
      throw HoldfastException.input(
              "%s: is not a file of targets, {id: text} (%s)", file, e.getMessage())
          .causedBy(e);
    }
  }

  private AttackCase read(ObjectNode row, Place place) {
    var fields = new LinkedHashMap<String, JsonNode>();
    row.properties().forEach(e -> fields.put(e.getKey().toLowerCase(Locale.ROOT), e.getValue()));
    var id = text(fields, "id").or(() -> text(fields, "behaviorid")).orElse("" + place.line());
    var turns = turns(fields, place);
    var goal =
        text(fields, "target")
            .or(() -> Optional.ofNullable(targets.get(id)))
            .or(() -> target)
            .filter(found -> !found.isBlank())
            .orElseThrow(
                () ->
                    place.bad(
                        "case %s has no 'target': the beginning of the answer to provoke; add one,"
                            + " or give a file of targets or one for all",
                        id));
    var texts = new LinkedHashMap<String, String>();
    row.properties().forEach(e -> texts.put(e.getKey(), e.getValue().asText()));
    var reference = text(fields, "reference").or(() -> text(fields, "completion"));
    return new AttackCase(new Case(new Prompt(id, turns), reference, texts), goal);
  }

  private static List<Prompt.Turn> turns(Map<String, JsonNode> fields, Place place) {
    if (fields.containsKey("messages")) {
      var turns = new ArrayList<Prompt.Turn>();
      for (var turn : fields.get("messages")) {
        turns.add(new Prompt.Turn(turn.path("role").asText(), turn.path("content").asText()));
      }
      if (!turns.isEmpty() && turns.getLast().role().equals("assistant")) {
        turns.removeLast();
      }
      if (turns.isEmpty() || !turns.getLast().role().equals("user")) {
        throw place.bad("'messages' must end with a user turn, or a user and an assistant turn");
      }
      return List.copyOf(turns);
    }
    var request =
        text(fields, "goal")
            .or(() -> text(fields, "prompt"))
            .or(() -> text(fields, "instruction"))
            .or(() -> text(fields, "behavior"))
            .orElseThrow(
                () ->
                    place.bad(
                        "has none of 'messages', 'goal', 'prompt', 'instruction' and 'behavior'"));
    var context = text(fields, "contextstring").filter(text -> !text.isBlank());
    return List.of(
        new Prompt.Turn("user", context.map(c -> CONTEXT.formatted(c, request)).orElse(request)));
  }

  private static Optional<String> text(Map<String, JsonNode> fields, String name) {
    return Optional.ofNullable(fields.get(name))
        .filter(value -> !value.isNull())
        .map(JsonNode::asText);
  }
}
