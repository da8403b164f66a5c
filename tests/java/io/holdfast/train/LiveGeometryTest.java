package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a run says of its geometry while it trains is what a trajectory finds afterwards. */
class LiveGeometryTest {
  @TempDir Path folder;
  private WatchedRun run;

  @BeforeEach
  void model() {
    run =
        WatchedRun.in(
            folder,
            "geometry.jsonl",
            List.of(
                "geometry.every=2",
                "geometry.prompts.harmful=" + folder.resolve("harmful.jsonl"),
                "geometry.prompts.benign=" + folder.resolve("benign.jsonl"),
                "geometry.prompts.max_new_tokens=3",
                "geometry.prompts.refusal_tokens=[5, 6]",
                "geometry.measures.rank=2",
                "geometry.measures.draws=20",
                "geometry.measures.task=" + folder.resolve("chats.jsonl")));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"tune=full", "tune={lora: {rank: 2}}", "tune={reft: {rank: 2, layers: [1, 2]}}"})
  void theLineOfAStepIsThatOfItsCheckpoint(String tune) {
    var output = run.train("live", true, tune);
    var found = folder.resolve("trajectory");
    WatchedRun.command(
        "geometry",
        "trajectory",
        "--quiet",
        "--model",
        run.tiny().model().toString(),
        "--run",
        output.toString(),
        "--harmful",
        folder.resolve("harmful.jsonl").toString(),
        "--benign",
        folder.resolve("benign.jsonl").toString(),
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
    var live = run.seen(output);
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
    run.assertLookingChangesNothing();
  }

  @Test
  void aResumedRunHasEveryLineOnce() {
    run.assertAResumedRunHasEveryLineOnce(3);
  }

  @Test
  void whatIsWrongIsFoundBeforeTraining() {
    var missing = run.config("none", true, "geometry.prompts.benign=nowhere.jsonl");
    var error = assertThrows(HoldfastException.class, () -> TinyRun.train(missing));
    assertTrue(
        error.getMessage().startsWith("geometry.prompts.benign: there is no file"),
        error.getMessage());
    var refused =
        assertThrows(HoldfastException.class, () -> run.config("never", true, "geometry.every=0"));
    assertEquals(ExitCode.USAGE, refused.exitCode());
    assertTrue(
        refused.getMessage().contains("geometry.every must be at least 1"), refused.getMessage());
  }
}
