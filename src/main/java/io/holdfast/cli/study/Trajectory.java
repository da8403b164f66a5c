package io.holdfast.cli.study;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.geometry.Estimate;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * A regime's checkpoints from the reference on: what was measured of each, and which measures rise
 * and fall together.
 *
 * @param regime its name
 * @param points one for each step, the reference first as step 0
 */
public record Trajectory(String regime, List<ObjectNode> points) {
  private static final List<String> GEOMETRY =
      List.of("c_cos", "c_sub", "hrci", "hrci_repr", "relative_drift", "subspace_angle");
  private static final List<String> BEHAVIOUR =
      List.of("asr", "over_refusal", "utility", "refusal_score_harmful", "transfer_asr");
  private static final int FEWEST = 3;

  /** The checkpoints of a run folder by step, ascending. */
  public static List<Checkpoint> checkpoints(String regime, Path run, Path base) {
    var folder = run.resolve("checkpoints");
    if (!Files.isDirectory(folder)) {
      throw HoldfastException.input(
          "%s: has no checkpoints/; give the folder that train wrote (its `output`)", run);
    }
    try (Stream<Path> entries = Files.list(folder)) {
      return entries
          .filter(path -> path.getFileName().toString().matches("step-\\d+"))
          .sorted(Comparator.comparing(Trajectory::step))
          .map(path -> new Checkpoint(regime + " step " + step(path), path, base))
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The step that a checkpoint's folder is named after; -1 where it is named otherwise. */
  static long step(Path folder) {
    var name = folder.getFileName().toString();
    return name.matches("step-\\d+") ? Long.parseLong(name.substring("step-".length())) : -1;
  }

  /** Measures the reference and each checkpoint. */
  public static Trajectory follow(
      String regime, List<Checkpoint> checkpoints, StudyContext context) {
    var points = new ArrayList<ObjectNode>();
    points.add(context.measure(context.reference()).deepCopy().put("step", 0L));
    for (int i = 0; i < checkpoints.size(); i++) {
      long step = step(checkpoints.get(i).folder());
      points.add(
          context.measure(checkpoints.get(i)).deepCopy().put("step", step < 0 ? i + 1 : step));
    }
    return new Trajectory(regime, points);
  }

  /** A measure that belongs to no layer, or to the layer at which refusal is read best. */
  static double value(ObjectNode point, String measure) {
    return figure(point, measure).path("value").asDouble(Double.NaN);
  }

  static JsonNode figure(ObjectNode point, String measure) {
    for (var figure : point.get("figures")) {
      if (figure.get("measure").asText().equals(measure)
          && (!figure.has("layer") || figure.get("layer").equals(point.get("refusal_layer")))) {
        return figure;
      }
    }
    return JsonNodeFactory.instance.missingNode();
  }

  /** Spearman's correlations of geometry and behaviour over the checkpoints, with intervals. */
  public ArrayNode correlations(int draws, long seed) {
    var array = JsonNodeFactory.instance.arrayNode();
    for (var geometry : GEOMETRY) {
      for (var behaviour : BEHAVIOUR) {
        var both =
            points.stream()
                .filter(
                    p ->
                        Double.isFinite(value(p, geometry)) && Double.isFinite(value(p, behaviour)))
                .toList();
        double[] x = both.stream().mapToDouble(p -> value(p, geometry)).toArray();
        double[] y = both.stream().mapToDouble(p -> value(p, behaviour)).toArray();
        if (x.length >= FEWEST) {
          var row = array.addObject().put("geometry", geometry).put("behaviour", behaviour);
          row.put("checkpoints", x.length);
          StudyFiles.putInto(row, Estimate.spearman(x, y, draws, seed));
        }
      }
    }
    return array;
  }

  /** Everything. */
  public ObjectNode json(int draws, long seed) {
    var json = StudyFiles.object().put("regime", regime);
    var all = json.putArray("checkpoints");
    points.forEach(all::add);
    json.set("correlations", correlations(draws, seed));
    return json;
  }
}
