package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.ExitCode;
import io.holdfast.world.Downstream;
import io.holdfast.world.World;
import io.holdfast.world.WorldFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * {@code geometry drift} and {@code drift} in a configuration, on short runs from the world's base.
 */
class GeometryDriftTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Path WORLD = Path.of("src/main/resources/io/holdfast/world/base");
  private static final int CLASS = 12;

  @TempDir static Path folder;

  @BeforeAll
  static void runs() throws IOException {
    var plan =
        new WorldFiles.Plan(3, 999, 0, 0, Downstream.Recipe.poisoned(.1), false, 1, CLASS, 1);
    var files = WorldFiles.write(folder.resolve("world"), World.load(), plan);
    var anchors = Files.readAllLines(files.get("anchors"));
    Files.write(folder.resolve("harmful.jsonl"), anchors.subList(0, CLASS));
    Files.write(folder.resolve("benign.jsonl"), anchors.subList(CLASS, 2 * CLASS));
    train("plain", files.get("work-train"), "");
    train("lora", files.get("work-train"), "tune: {lora: {rank: 2}}\n");
  }

  private static void train(String name, Path rows, String more) throws IOException {
    var yaml =
        """
        model: %s
        data: {train: [%s], max_length: 128}
        steps: 4
        batch_size: 4
        optimizer: {lr: 1.0e-3}
        checkpoint: {every: 2, keep: 9}
        drift:
          every: 3
          rank: 4
          rows: 6
          contrast: {harmful: %s, benign: %s}
        output: %s
        """
            .formatted(
                WORLD,
                rows,
                folder.resolve("harmful.jsonl"),
                folder.resolve("benign.jsonl"),
                folder.resolve(name));
    var file = Files.writeString(folder.resolve(name + ".yaml"), yaml + more);
    var done = Invocation.of("train", file.toString());
    assertEquals(0, done.exitCode(), done.err());
  }

  private static Invocation drift(String... more) {
    var all = new ArrayList<>(List.of("geometry", "drift"));
    all.addAll(List.of(more));
    all.addAll(List.of("--harmful", "" + folder.resolve("harmful.jsonl")));
    all.addAll(List.of("--benign", "" + folder.resolve("benign.jsonl"), "--rank", "4"));
    return Invocation.of(all.toArray(String[]::new));
  }

  private static List<JsonNode> lines(Path file) throws IOException {
    var lines = new ArrayList<JsonNode>();
    for (var line : Files.readAllLines(file)) {
      lines.add(JSON.readTree(line));
    }
    return lines;
  }

  @Test
  void measuresEveryCheckpointAtEveryLayer() throws Exception {
    var out = folder.resolve("drift.jsonl");
    var done = drift("" + folder.resolve("plain"), "" + folder.resolve("lora"), "-o", "" + out);
    assertEquals(0, done.exitCode(), done.err());
    var lines = lines(out);
    // Two runs, two checkpoints, six layers, two positions.
    assertEquals(2 * 2 * 6 * 2, lines.size());
    for (var run : List.of("plain", "lora")) {
      var early = relative(lines, run, 2);
      var late = relative(lines, run, 4);
      assertTrue(early > 0 && late > early, run + ": " + early + ", " + late);
    }
    assertEquals(2 + 2 * 6, done.out().lines().count());
  }

  private static double relative(List<JsonNode> lines, String run, int step) {
    return lines.stream()
        .filter(line -> line.get("run").asText().endsWith(run))
        .filter(line -> line.get("step").asInt() == step && line.get("layer").asInt() == 6)
        .mapToDouble(line -> line.get("relative").asDouble())
        .sum();
  }

  /** The report while training is that of the checkpoint of the same step. */
  @Test
  void aRunMeasuresItselfWhileItTrains() throws Exception {
    var out = folder.resolve("again.jsonl");
    assertEquals(0, drift("" + folder.resolve("plain"), "--rows", "6", "-o", "" + out).exitCode());
    var own = lines(folder.resolve("plain/drift.jsonl"));
    assertEquals(List.of(3, 4), own.stream().map(line -> line.get("step").asInt()).toList());
    var last = own.getLast().get("drift");
    var measured = lines(out).stream().filter(line -> line.get("step").asInt() == 4).toList();
    assertEquals(last.size(), measured.size());
    for (int i = 0; i < last.size(); i++) {
      for (var figure : last.get(i).properties()) {
        var other = measured.get(i).get(figure.getKey());
        if (figure.getValue().isNumber()) {
          assertEquals(figure.getValue().asDouble(), other.asDouble(), 1e-4, figure.getKey());
        } else {
          assertEquals(figure.getValue(), other, figure.getKey());
        }
      }
    }
  }

  @Test
  void aFolderThatIsNoRunIsAnError() {
    var done = drift("" + folder.resolve("world"));
    assertEquals(ExitCode.INPUT.code(), done.exitCode());
    assertTrue(done.err().contains("there is no run.yaml"), done.err());
  }

  @Test
  void anotherModelsSubspaceIsRefused() throws Exception {
    var other = folder.resolve("other.safetensors");
    var bases = new java.util.TreeMap<Integer, double[][]>();
    bases.put(1, new double[][] {{1}, {0}});
    try (var subspace =
        new io.holdfast.guard.SafetySubspace(
            bases, new java.util.TreeMap<>(java.util.Map.of(1, 1.0)), "of another")) {
      subspace.save(other, java.util.Map.of());
    }
    var done = drift("" + folder.resolve("plain"), "--basis", "" + other);
    assertEquals(ExitCode.INPUT.code(), done.exitCode());
    assertTrue(done.err().contains("fitted on another model"), done.err());
  }
}
