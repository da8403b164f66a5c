package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFolder;
import io.holdfast.cli.Holdfast;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a run says of its geometry while it trains is what a trajectory finds afterwards. */
class LiveGeometryTest {
  @TempDir Path folder;
  private TinyRun run;

  @BeforeEach
  void model() {
    run = TinyRun.in(folder);
    for (var kind : List.of("red", "blue")) {
      run.write(
          kind + ".jsonl",
          IntStream.range(0, 8)
              .mapToObj(i -> "{\"prompt\": \"%s %d, please\"}".formatted(kind, i * i))
              .toList());
    }
  }

  private List<String> settings(boolean live) {
    var settings =
        new ArrayList<>(
            List.of(
                "data.train=[" + folder.resolve("chats.jsonl") + "]",
                "steps=4",
                "schedule.decay=constant",
                "checkpoint={every: 2, keep: 9}"));
    if (live) {
      settings.add("geometry.every=2");
      settings.add("geometry.prompts.harmful=" + folder.resolve("red.jsonl"));
      settings.add("geometry.prompts.benign=" + folder.resolve("blue.jsonl"));
      settings.add("geometry.prompts.max_new_tokens=3");
      settings.add("geometry.prompts.refusal_tokens=[5, 6]");
      settings.add("geometry.measures.rank=2");
      settings.add("geometry.measures.draws=20");
      settings.add("geometry.measures.task=" + folder.resolve("chats.jsonl"));
    }
    return settings;
  }

  private Path train(String name, boolean live, String... more) {
    return train(name, live, false, more);
  }

  private Path train(String name, boolean live, boolean resume, String... more) {
    var settings = settings(live);
    settings.addAll(List.of(more));
    var config = run.config(name, settings.toArray(String[]::new));
    var yaml = run.write(name + ".yaml", List.of(config.toYaml())).toString();
    if (resume) {
      holdfast("train", "--quiet", yaml, "--resume");
    } else {
      holdfast("train", "--quiet", yaml);
    }
    return run.output(name);
  }

  private static void holdfast(String... arguments) {
    var err = new StringWriter();
    int code = Holdfast.run(new PrintWriter(new StringWriter()), new PrintWriter(err), arguments);
    assertEquals(0, code, err.toString());
  }

  private static List<JsonNode> lines(Path output) {
    return Goldens.lines(output.resolve("geometry.jsonl"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"tune=full", "tune={lora: {rank: 2}}"})
  void theLineOfAStepIsThatOfItsCheckpoint(String tune) {
    var output = train("live", true, tune);
    var found = folder.resolve("trajectory");
    holdfast(
        "geometry",
        "trajectory",
        "--quiet",
        "--model",
        run.model().toString(),
        "--run",
        output.toString(),
        "--harmful",
        folder.resolve("red.jsonl").toString(),
        "--benign",
        folder.resolve("blue.jsonl").toString(),
        "--max-new-tokens",
        "3",
        "--refusal-tokens",
        "5,6",
        "--rank",
        "2",
        "--draws",
        "20",
        "--task",
        folder.resolve("chats.jsonl").toString(),
        "--output",
        found.toString());
    var points = Goldens.json(found.resolve("trajectory.json")).get("checkpoints");
    var live = lines(output);
    assertEquals(3, points.size());
    assertEquals(3, live.size());
    for (int i = 0; i < 3; i++) {
      assertEquals(2 * i, live.get(i).get("step").asInt());
      assertAlike(points.get(i), live.get(i), "step " + 2 * i);
    }
    assertTrue(figures(live.get(2)).contains("relative_drift"));
    assertTrue(figures(live.get(2)).contains("interference"));
    assertFalse(figures(live.get(0)).contains("relative_drift"), "the start has moved nowhere");
    var scalars =
        EventFile.read(EventFile.of(output).getFirst()).stream()
            .filter(event -> event.scalars().containsKey("geometry/c_cos"))
            .toList();
    assertEquals(List.of(0L, 2L, 4L), scalars.stream().map(EventFile.Event::step).toList());
    double last = value(live.get(2), "relative_drift");
    var layer = live.get(2).get("refusal_layer").asText();
    assertEquals(last, scalars.get(2).scalars().get("geometry/relative_drift/" + layer), 1e-6);
  }

  private static List<String> figures(JsonNode line) {
    return line.get("figures").findValuesAsText("measure");
  }

  private static double value(JsonNode line, String measure) {
    for (var figure : line.get("figures")) {
      if (figure.get("measure").asText().equals(measure)) {
        return figure.get("value").asDouble();
      }
    }
    throw new AssertionError(measure);
  }

  /** All that one has the other has too, but for the name of the checkpoint. */
  private static void assertAlike(JsonNode expected, JsonNode found, String where) {
    if (expected.isNumber()) {
      double value = expected.asDouble();
      assertEquals(value, found.asDouble(), 1e-5 * (1 + Math.abs(value)), where);
    } else if (expected.isContainerNode()) {
      var names = new ArrayList<String>();
      expected.fieldNames().forEachRemaining(names::add);
      names.remove("checkpoint");
      assertEquals(names.size(), found.isObject() ? found.size() : 0, where + ": " + found);
      names.forEach(name -> assertAlike(expected.get(name), found.get(name), where + "." + name));
      if (expected.isArray()) {
        assertEquals(expected.size(), found.size(), where);
        for (int i = 0; i < expected.size(); i++) {
          assertAlike(expected.get(i), found.get(i), where + "[" + i + "]");
        }
      }
    } else {
      assertEquals(expected, found, where);
    }
  }

  @Test
  void aMeasuredRunIsThatOfOneThatIsNot() {
    var file = "checkpoints/step-4/model.safetensors";
    assertEquals(
        TinyRun.bits(train("plain", false).resolve(file)),
        TinyRun.bits(train("measured", true).resolve(file)));
  }

  /** Killed before the last checkpoint, and killed between a checkpoint and its line. */
  @Test
  void aResumedRunHasEveryLineOnce() {
    var whole = lines(train("whole", true));
    var output = train("parts", true);
    AtomicFolder.delete(output.resolve("checkpoints/step-4"));
    train("parts", true, true);
    assertEquals(whole, lines(output));
    run.write(
        "parts/geometry.jsonl", whole.subList(0, 2).stream().map(JsonNode::toString).toList());
    train("parts", true, true);
    assertEquals(whole, lines(output));
  }

  @Test
  void whatIsWrongIsFoundBeforeTraining() {
    var settings = settings(true);
    settings.add("geometry.prompts.benign=nowhere.jsonl");
    var missing = run.config("none", settings.toArray(String[]::new));
    var error = assertThrows(HoldfastException.class, () -> TinyRun.train(missing));
    assertTrue(
        error.getMessage().startsWith("geometry.prompts.benign: there is no file"),
        error.getMessage());
    var never = settings(true);
    never.add("geometry.every=0");
    var refused =
        assertThrows(
            HoldfastException.class, () -> run.config("never", never.toArray(String[]::new)));
    assertEquals(ExitCode.USAGE, refused.exitCode());
    assertTrue(
        refused.getMessage().contains("geometry.every must be at least 1"), refused.getMessage());
  }
}
