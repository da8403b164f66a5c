package io.holdfast.train;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.Goldens;
import io.holdfast.data.Example;
import io.holdfast.data.Place;
import io.holdfast.guard.GuardedPositions;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** A golden training run of {@code transformers} and PyTorch's AdamW. */
record Trace(Path folder, JsonNode json) {
  private static final Path ROOT = Goldens.path("train");

  static Trace of(String name) {
    var folder = ROOT.resolve(name);
    return new Trace(folder, Goldens.json(folder.resolve("trace.json")));
  }

  /** A trace of {@code families.py}: {@code full} or {@code lora} of a family. */
  static Trace ofFamily(Path family, String kind) {
    return new Trace(family.resolve(kind), Goldens.json(family.resolve(kind + ".json")));
  }

  static Path file(String name) {
    return ROOT.resolve(name);
  }

  JsonNode settings() {
    return json.get("settings");
  }

  JsonNode step(long number) {
    return json.get("steps").get((int) number - 1);
  }

  double number(String key) {
    return settings().get(key).asDouble();
  }

  boolean flag(String key) {
    return settings().get(key).asBoolean();
  }

  /** The folder that a setting names, or null. */
  Path named(String key) {
    var value = settings().get(key);
    return value.isNull() ? null : folder.resolveSibling(value.asText());
  }

  static List<Example> rows() {
    var examples = new ArrayList<Example>();
    var file = file("rows.jsonl");
    for (var row : Goldens.lines(file)) {
      int[] target = Goldens.ints(row.get("target"));
      var flags = new boolean[target.length];
      for (int i = 0; i < target.length; i++) {
        flags[i] = target[i] == 1;
      }
      examples.add(
          new Example(
              Integer.toString(examples.size()),
              Goldens.ints(row.get("tokens")),
              flags,
              -1,
              -1,
              (float) row.get("risk").asDouble(),
              new Place(file, examples.size() + 1)));
    }
    return examples;
  }

  /** The guarded tokens that the trace's rows name. */
  static GuardedPositions guarded() {
    var masks =
        Goldens.lines(file("rows.jsonl")).stream()
            .map(row -> Goldens.ints(row.get("guard")))
            .toList();
    return example -> {
      int[] mask = masks.get(Integer.parseInt(example.id()));
      return IntStream.range(0, mask.length).filter(i -> mask[i] == 1).toArray();
    };
  }
}
