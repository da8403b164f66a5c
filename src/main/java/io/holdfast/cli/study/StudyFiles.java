package io.holdfast.cli.study;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.eval.Rate;
import io.holdfast.geometry.Estimate;
import io.holdfast.geometry.Figure;
import io.holdfast.geometry.Quadrants;
import io.holdfast.geometry.Quadrants.Reply;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** Results of a study as JSON, and the same as CSV; a number that is undefined is left out. */
public final class StudyFiles {
  private static final List<String> NUMBERS =
      List.of("value", "low", "high", "null_mean", "p", "chance");

  private StudyFiles() {}

  /** An empty object. */
  public static ObjectNode object() {
    return JsonNodeFactory.instance.objectNode();
  }

  static ArrayNode strings(List<String> texts) {
    var array = JsonNodeFactory.instance.arrayNode();
    texts.forEach(array::add);
    return array;
  }

  /** Adds a number unless it is undefined. */
  static void put(ObjectNode object, String name, double value) {
    if (Double.isFinite(value)) {
      object.put(name, value);
    }
  }

  static ObjectNode json(Figure figure) {
    var object = object().put("measure", figure.measure());
    if (figure.layer() != Figure.NO_LAYER) {
      object.put("layer", figure.layer());
    }
    putInto(object, figure.estimate());
    put(object, "null_mean", figure.nullMean());
    put(object, "p", figure.p());
    put(object, "chance", figure.chance());
    return object;
  }

  static void putInto(ObjectNode object, Estimate estimate) {
    put(object, "value", estimate.value());
    put(object, "low", estimate.low());
    put(object, "high", estimate.high());
  }

  static ArrayNode figures(List<Figure> figures) {
    var array = JsonNodeFactory.instance.arrayNode();
    figures.forEach(figure -> array.add(json(figure)));
    return array;
  }

  static ObjectNode json(Rate rate) {
    return object()
        .put("value", rate.value())
        .put("low", rate.low())
        .put("high", rate.high())
        .put("n", rate.n());
  }

  static ObjectNode json(Effect effect) {
    var object = object().put("intervention", effect.name());
    effect
        .condition()
        .ifPresent(
            c -> {
              object.put("mode", word(c.mode()));
              object.put("method", word(c.method()));
              object.put("tokens", word(c.tokens()));
              object.put("layer", c.layer());
              object.put("coefficient", c.coefficient());
              object.put("control", word(c.control()));
            });
    effect.shares().forEach((name, rate) -> object.set(name, json(rate)));
    put(object, "kl", effect.kl());
    put(object, "score_harmful", effect.harmfulScore());
    put(object, "score_benign", effect.benignScore());
    return object;
  }

  static ObjectNode json(Selection.Candidate candidate) {
    var object = object().put("intervention", candidate.condition().name());
    object.put("removes", candidate.removes());
    put(object, "bypass", candidate.harmful().score());
    put(object, "induce", candidate.benign().score());
    put(object, "kl", candidate.benign().divergence());
    put(object, "kl_harmful", candidate.harmful().divergence());
    return object;
  }

  static ObjectNode json(Selection selection) {
    var object = object();
    object.put("removal", selection.removal().condition().name());
    object.put("addition", selection.addition().condition().name());
    object.set("flags", strings(selection.flags()));
    var all = object.putArray("candidates");
    selection.candidates().forEach(candidate -> all.add(json(candidate)));
    return object;
  }

  /** How many prompts are in each cell, by the model's own replies. */
  static ObjectNode json(Quadrants labels) {
    var object = object();
    for (boolean harmful : new boolean[] {true, false}) {
      var cells = object.putObject(harmful ? "harmful" : "benign");
      for (var reply : Reply.values()) {
        cells.put(word(reply), labels.cell(harmful, reply).length);
      }
    }
    return object;
  }

  /** What was observed, without the states. */
  static ObjectNode json(Observed observed) {
    var object = object();
    object.set("replies", json(observed.own()));
    var tokens = object.putArray("refusal_tokens");
    for (int token : observed.score().tokens()) {
      tokens.add(token);
    }
    object.set("flags", strings(observed.flags()));
    return object;
  }

  static String word(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT);
  }

  /** Rows of numbers that {@link #json} wrote, one line each, after a column of names. */
  static String csv(String nameColumn, List<Named> rows) {
    var lines = new ArrayList<String>();
    lines.add(nameColumn + ",measure,layer," + String.join(",", NUMBERS));
    for (var row : rows) {
      var figure = row.figure();
      lines.add(
          quoted(row.name())
              + ","
              + figure.path("measure").asText()
              + ","
              + figure.path("layer").asText("")
              + ","
              + NUMBERS.stream()
                  .map(number -> figure.path(number).asText(""))
                  .collect(Collectors.joining(",")));
    }
    return String.join("\n", lines) + "\n";
  }

  /** A figure and whose it is. */
  record Named(String name, ObjectNode figure) {}

  /** The shares of an effect as figures. */
  static List<Named> named(ObjectNode effect) {
    var rows = new ArrayList<Named>();
    var name = effect.get("intervention").asText();
    effect
        .properties()
        .forEach(
            field -> {
              if (field.getValue() instanceof ObjectNode rate) {
                var figure = rate.deepCopy().put("measure", field.getKey());
                rows.add(new Named(name, figure));
              } else if (List.of("kl", "score_harmful", "score_benign").contains(field.getKey())) {
                var figure = object().put("measure", field.getKey());
                figure.set("value", field.getValue());
                rows.add(new Named(name, figure));
              }
            });
    return rows;
  }

  /** The CSV file that belongs to a JSON file. */
  public static Path csvBeside(Path json) {
    return Path.of(json.toString().replaceFirst("(\\.json)?$", ".csv"));
  }

  /** The figures of several measurements as CSV, each named by one of its fields. */
  public static String figuresCsv(String nameField, List<ObjectNode> measurements) {
    var rows = new ArrayList<Named>();
    measurements.forEach(
        one ->
            one.get("figures")
                .forEach(f -> rows.add(new Named(one.get(nameField).asText(), (ObjectNode) f))));
    return csv(nameField, rows);
  }

  /** The effects of an intervention study as CSV. */
  public static String effects(ObjectNode study) {
    var rows = new ArrayList<Named>();
    study.get("effects").forEach(effect -> rows.addAll(named((ObjectNode) effect)));
    return csv("intervention", rows);
  }

  private static String quoted(String text) {
    return text.matches("[^\",\n]*") ? text : '"' + text.replace("\"", "\"\"") + '"';
  }

  /** Makes a folder, with those above it, unless it is there. */
  static void make(Path folder) {
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw HoldfastException.input("%s: cannot be created (%s)", folder, e.getMessage());
    }
  }
}
