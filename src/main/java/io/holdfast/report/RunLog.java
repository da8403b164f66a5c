package io.holdfast.report;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.function.BiConsumer;

/**
 * What the folder of a run holds, as numbers over steps.
 *
 * @param name the folder's
 * @param settings of {@code run.yaml}, by their dotted keys
 * @param manifest of {@code manifest.json}
 * @param series by name: {@code train/loss}, {@code eval/asr}, {@code geometry/c_cos} (of a figure
 *     of each layer the one where refusal is read), {@code drift/POSITION/FIGURE} (the mean over
 *     layers)
 * @param missedGates of the last evaluation, if there was one
 */
public record RunLog(
    String name,
    SequencedMap<String, String> settings,
    JsonNode manifest,
    SequencedMap<String, Series> series,
    Optional<List<String>> missedGates) {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final ObjectMapper YAML = new ObjectMapper(new YAMLFactory());

  /** Numbers over steps, ascending; bounds are NaN where a number has none. */
  public record Series(List<Point> points) {
    /** One of them. */
    public record Point(long step, double value, double low, double high) {}

    /** The last one. */
    public Point last() {
      return points.getLast();
    }
  }

  /**
   * Reads a folder. A line that a killed run left unfinished at the end of a file is passed over.
   *
   * @throws HoldfastException if it is not a run's, or a file of it is broken
   */
  public static RunLog read(Path folder) {
    var metrics = folder.resolve("metrics.jsonl");
    if (!Files.isRegularFile(metrics)) {
      throw HoldfastException.input(
          "%s: is not the folder of a run, it has no metrics.jsonl; name what `output` of the run"
              + " names",
          folder);
    }
    var series = new LinkedHashMap<String, List<Series.Point>>();
    each(metrics, (step, line) -> numbers("train/", step, line, series));
    var missed = new ArrayList<List<String>>();
    each(
        folder.resolve("evals.jsonl"),
        (step, line) -> {
          numbers("eval/", step, line, series);
          var gates = new ArrayList<String>();
          line.path("missed_gates").forEach(gate -> gates.add(gate.asText()));
          missed.add(gates);
        });
    each(folder.resolve("geometry.jsonl"), (step, line) -> figures(step, line, series));
    each(folder.resolve("drift.jsonl"), (step, line) -> drift(step, line, series));
    var whole = new LinkedHashMap<String, Series>();
    series.forEach((name, points) -> whole.put(name, new Series(List.copyOf(points))));
    return new RunLog(
        folder.toAbsolutePath().normalize().getFileName().toString(),
        settings(folder.resolve("run.yaml")),
        tree(JSON, folder.resolve("manifest.json")),
        whole,
        missed.isEmpty() ? Optional.empty() : Optional.of(missed.getLast()));
  }

  /** The same run under another name. */
  RunLog named(String newName) {
    return new RunLog(newName, settings, manifest, series, missedGates);
  }

  /** Numbers of a series, if the run has it. */
  Optional<Series> series(String wanted) {
    return Optional.ofNullable(series.get(wanted));
  }

  private static void each(Path file, BiConsumer<Long, JsonNode> lines) {
    if (!Files.exists(file)) {
      return;
    }
    var all = text(file).lines().toList();
    for (int i = 0; i < all.size(); i++) {
      try {
        var line = JSON.readTree(all.get(i));
        lines.accept(line.path("step").asLong(), line);
      } catch (JacksonException e) {
        if (i < all.size() - 1) {
          throw HoldfastException.input(
                  "%s:%d: is not JSON (%s)", file, i + 1, e.getOriginalMessage())
              .causedBy(e);
        }
      }
    }
  }

  /** A line's own numbers; {@code x_low} and {@code x_high} are the bounds of {@code x}. */
  private static void numbers(
      String prefix, long step, JsonNode line, Map<String, List<Series.Point>> series) {
    line.properties()
        .forEach(
            field -> {
              var name = field.getKey();
              boolean bound =
                  List.of("_low", "_high").stream()
                      .anyMatch(
                          end ->
                              name.endsWith(end)
                                  && line.has(name.substring(0, name.length() - end.length())));
              if (field.getValue().isNumber() && !name.equals("step") && !bound) {
                add(
                    series,
                    prefix + name,
                    step,
                    field.getValue(),
                    line.path(name + "_low"),
                    line.path(name + "_high"));
              }
            });
  }

  private static void figures(long step, JsonNode line, Map<String, List<Series.Point>> series) {
    for (var figure : line.path("figures")) {
      boolean one = !figure.has("layer") || figure.get("layer").equals(line.get("refusal_layer"));
      if (one && figure.path("value").isNumber()) {
        add(
            series,
            "geometry/" + figure.path("measure").asText(),
            step,
            figure.get("value"),
            figure.path("low"),
            figure.path("high"));
      }
    }
  }

  private static void add(
      Map<String, List<Series.Point>> series,
      String name,
      long step,
      JsonNode value,
      JsonNode low,
      JsonNode high) {
    series
        .computeIfAbsent(name, _ -> new ArrayList<>())
        .add(
            new Series.Point(
                step, value.asDouble(), low.asDouble(Double.NaN), high.asDouble(Double.NaN)));
  }

  private static void drift(long step, JsonNode line, Map<String, List<Series.Point>> series) {
    var layers = new TreeMap<String, List<Double>>();
    for (var found : line.path("drift")) {
      var prefix = "drift/" + found.path("position").asText() + "/";
      found
          .properties()
          .forEach(
              field -> {
                if (field.getValue().isNumber() && !field.getKey().equals("layer")) {
                  layers
                      .computeIfAbsent(prefix + field.getKey(), _ -> new ArrayList<>())
                      .add(field.getValue().asDouble());
                }
              });
    }
    layers.forEach(
        (name, values) -> {
          double mean = values.stream().mapToDouble(v -> v).average().orElseThrow();
          series
              .computeIfAbsent(name, _ -> new ArrayList<>())
              .add(new Series.Point(step, mean, Double.NaN, Double.NaN));
        });
  }

  private static SequencedMap<String, String> settings(Path file) {
    var flat = new LinkedHashMap<String, String>();
    flatten("", tree(YAML, file), flat);
    return flat;
  }

  private static void flatten(String prefix, JsonNode node, Map<String, String> flat) {
    if (node.isObject() && !node.isEmpty()) {
      node.properties()
          .forEach(
              field ->
                  flatten(
                      prefix.isEmpty() ? field.getKey() : prefix + "." + field.getKey(),
                      field.getValue(),
                      flat));
    } else if (!prefix.isEmpty()) {
      flat.put(prefix, node.isValueNode() ? node.asText() : node.toString());
    }
  }

  private static JsonNode tree(ObjectMapper format, Path file) {
    try {
      return format.readTree(text(file));
    } catch (JacksonException e) {
      throw HoldfastException.input("%s: is damaged: %s", file, e.getOriginalMessage()).causedBy(e);
    }
  }

  private static String text(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw HoldfastException.unreadable(file, e);
    }
  }
}
