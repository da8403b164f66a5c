package io.holdfast.cli.study;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.report.LineChart;
import io.holdfast.report.StudyPage;
import io.holdfast.report.StudyPage.Part;
import io.holdfast.report.Table;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.stream.StreamSupport;

/** The results of a protocol as a page with plots, and as CSV. */
final class ProtocolPage {
  private static final List<String> CURVES =
      List.of(
          "asr",
          "over_refusal",
          "answered",
          "utility",
          "hrci_repr",
          "c_cos",
          "c_sub",
          "relative_drift",
          "drift_refusal",
          "refusal_score_harmful",
          "interference_sign",
          "transfer_asr");

  private static final Set<String> SHARES =
      Set.of("asr", "over_refusal", "answered", "utility", "transfer_asr");

  private ProtocolPage() {}

  /** Every figure of every model, and the effects of every intervention. */
  static String csv(ObjectNode result) {
    var rows = new ArrayList<StudyFiles.Named>();
    for (var point : points(result)) {
      point
          .get("figures")
          .forEach(
              f ->
                  rows.add(new StudyFiles.Named(point.get("checkpoint").asText(), (ObjectNode) f)));
    }
    for (var study : result.get("interventions")) {
      for (var effect : study.get("effects")) {
        for (var named : StudyFiles.named((ObjectNode) effect)) {
          rows.add(
              new StudyFiles.Named(
                  study.get("checkpoint").asText() + ": " + named.name(), named.figure()));
        }
      }
    }
    return StudyFiles.csv("name", rows);
  }

  /** The models, the reference once. */
  private static List<ObjectNode> points(ObjectNode result) {
    var points = new ArrayList<ObjectNode>();
    points.add((ObjectNode) result.get("measured"));
    result.get("anchors").forEach(a -> points.add((ObjectNode) a));
    for (var regime : result.get("regimes")) {
      regime.get("checkpoints").forEach(p -> points.add((ObjectNode) p));
    }
    return points.stream()
        .filter(p -> p == points.getFirst() || !p.get("checkpoint").asText().equals("reference"))
        .toList();
  }

  static StudyPage of(ObjectNode result) {
    var parts = new ArrayList<Part>();
    parts.add(
        new Part.Prose(
            "Each number stands beside its 95 % interval over prompts, what shuffled labels give"
                + " and what chance gives. Coupling is a diagnostic, not a safety score: a model"
                + " that refuses everything and one that refuses nothing can couple alike. That an"
                + " intervention works shows that a direction suffices, not that nothing else does"
                + " the same; sweeps do not prove separate pathways."));
    parts.add(new Part.Heading("The reference"));
    var reference = (ObjectNode) result.get("measured");
    parts.add(new Part.Sheet(StudyTables.figures(reference)));
    notes(parts, reference, "");
    parts.add(
        layers(
            reference,
            "Where harm and refusal can be read (AUROC)",
            .5,
            "auroc_harm",
            "auroc_refusal"));
    parts.add(
        layers(
            reference,
            "Cosine of both carriers at one layer",
            chance(reference, "cosine"),
            "cosine"));
    if (!result.get("anchors").isEmpty()) {
      parts.add(new Part.Heading("Anchors"));
      result
          .get("anchors")
          .forEach(a -> parts.add(new Part.Sheet(StudyTables.figures((ObjectNode) a))));
    }
    trajectories(parts, result);
    result.get("interventions").forEach(study -> interventions(parts, (ObjectNode) study));
    if (result.has("transfer")) {
      parts.add(new Part.Heading("Transfer of attack strings"));
      parts.add(new Part.Sheet(transfer(result.get("transfer"))));
    }
    return new StudyPage("Safety geometry of " + result.get("reference").asText(), parts);
  }

  private static void notes(List<Part> parts, ObjectNode point, String where) {
    point
        .get("flags")
        .forEach(flag -> parts.add(new Part.Prose("Note" + where + ": " + flag.asText())));
  }

  private static double chance(ObjectNode point, String measure) {
    return Trajectory.figure(point, measure).path("chance").asDouble(Double.NaN);
  }

  private static Part layers(ObjectNode point, String title, double chance, String... measures) {
    var lines = new ArrayList<LineChart.Line>();
    for (var measure : measures) {
      var figures =
          StreamSupport.stream(point.get("figures").spliterator(), false)
              .filter(f -> f.get("measure").asText().equals(measure))
              .toList();
      lines.add(line(measure, figures.stream().map(f -> f.get("layer")).toList(), figures));
    }
    return new Part.Chart(new LineChart(title, "layer", lines, chance));
  }

  private static LineChart.Line line(String name, List<JsonNode> x, List<JsonNode> figures) {
    return new LineChart.Line(
        name,
        x.stream().mapToDouble(JsonNode::asDouble).toArray(),
        numbers(figures, "value"),
        numbers(figures, "low"),
        numbers(figures, "high"));
  }

  private static double[] numbers(List<JsonNode> figures, String name) {
    return figures.stream().mapToDouble(f -> f.path(name).asDouble(Double.NaN)).toArray();
  }

  private static void trajectories(List<Part> parts, ObjectNode result) {
    if (result.get("regimes").isEmpty()) {
      return;
    }
    parts.add(new Part.Heading("Trajectories"));
    for (var measure : CURVES) {
      var lines = new ArrayList<LineChart.Line>();
      for (var regime : result.get("regimes")) {
        var points = new ArrayList<ObjectNode>();
        regime.get("checkpoints").forEach(p -> points.add((ObjectNode) p));
        var figures = points.stream().map(p -> Trajectory.figure(p, measure)).toList();
        if (figures.stream().anyMatch(f -> f.has("value"))) {
          lines.add(
              line(
                  regime.get("regime").asText(),
                  points.stream().map(p -> p.get("step")).toList(),
                  figures));
        }
      }
      if (!lines.isEmpty()) {
        double chance = chance((ObjectNode) result.get("measured"), measure);
        parts.add(
            new Part.Chart(
                SHARES.contains(measure)
                    ? LineChart.ofShares(measure, "step", lines)
                    : new LineChart(
                        measure,
                        "step",
                        lines,
                        measure.startsWith("drift") ? Double.NaN : chance)));
      }
    }
    for (var regime : result.get("regimes")) {
      parts.add(new Part.Prose("Over the checkpoints of " + regime.get("regime").asText() + ":"));
      parts.add(new Part.Sheet(StudyTables.correlations((ObjectNode) regime)));
      regime
          .get("checkpoints")
          .forEach(p -> notes(parts, (ObjectNode) p, " at step " + p.get("step").asText()));
    }
  }

  private static void interventions(List<Part> parts, ObjectNode study) {
    parts.add(new Part.Heading("Interventions: " + study.get("checkpoint").asText()));
    notes(parts, study, "");
    parts.add(new Part.Sheet(StudyTables.effects(study)));
    dose(parts, study, "asr", "Attack success by dose of the addition or removal");
    dose(parts, study, "over_refusal", "Over-refusal by dose of the addition or removal");
  }

  /** Additions of the refusal carrier at one layer and reach, by coefficient. */
  private static void dose(List<Part> parts, ObjectNode study, String measure, String title) {
    var chosen = study.get("selection").get("addition").asText();
    JsonNode addition = null;
    for (var effect : study.get("effects")) {
      if (effect.get("intervention").asText().equals(chosen)) {
        addition = effect;
      }
    }
    if (addition == null) {
      return;
    }
    var same = new ArrayList<JsonNode>();
    for (var effect : study.get("effects")) {
      if (effect.path("method").asText().equals("add")
          && effect.path("control").asText().equals("none")
          && effect.get("mode").equals(addition.get("mode"))
          && effect.get("tokens").equals(addition.get("tokens"))
          && effect.get("layer").equals(addition.get("layer"))) {
        same.add(effect);
      }
    }
    same.sort(Comparator.comparing(e -> e.get("coefficient").asDouble()));
    parts.add(
        new Part.Chart(
            LineChart.ofShares(
                title,
                "coefficient",
                List.of(
                    line(
                        measure,
                        same.stream().map(e -> e.get("coefficient")).toList(),
                        same.stream().map(e -> e.path(measure)).toList())))));
  }

  private static Table transfer(JsonNode matrix) {
    var rows = new ArrayList<List<String>>();
    for (var c : matrix.get("cells")) {
      rows.add(
          List.of(
              c.get("source").asText() + " on " + c.get("target").asText(),
              "%s [%s, %s]"
                  .formatted(
                      StudyTables.number(c.get("asr").asDouble()),
                      StudyTables.number(c.get("asr_low").asDouble()),
                      StudyTables.number(c.get("asr_high").asDouble())),
              c.get("n").asText()));
    }
    return new Table(List.of("strings", "attack success", "test cases"), rows);
  }
}
