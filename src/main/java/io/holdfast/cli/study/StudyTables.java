package io.holdfast.cli.study;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.report.Table;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/** Results of a study as tables for readers, made of what its files hold. */
public final class StudyTables {
  private static final List<String> FOLLOWED =
      List.of(
          "asr",
          "over_refusal",
          "utility",
          "hrci_repr",
          "c_cos",
          "c_sub",
          "drift_refusal",
          "relative_drift",
          "cka",
          "refusal_score_harmful");

  private StudyTables() {}

  /** One row a checkpoint, values with their intervals. */
  public static Table trajectory(Trajectory followed) {
    var head = new ArrayList<>(List.of("checkpoint"));
    head.addAll(FOLLOWED);
    return new Table(
        head,
        followed.points().stream()
            .map(
                point ->
                    Stream.concat(
                            Stream.of(point.get("checkpoint").asText()),
                            FOLLOWED.stream().map(m -> cell(Trajectory.figure(point, m))))
                        .toList())
            .toList());
  }

  /** The correlations that {@link Trajectory#json} holds. */
  public static Table correlations(ObjectNode trajectory) {
    var rows = new ArrayList<List<String>>();
    trajectory
        .get("correlations")
        .forEach(
            c ->
                rows.add(
                    List.of(
                        c.get("geometry").asText() + " and " + c.get("behaviour").asText(),
                        cell(c),
                        c.get("checkpoints").asText())));
    return new Table(List.of("Spearman's correlation of", "value", "checkpoints"), rows);
  }

  /** What readers must know of the labels, checkpoint by checkpoint. */
  public static List<String> flags(Trajectory followed) {
    var flags = new ArrayList<String>();
    for (var point : followed.points()) {
      point
          .get("flags")
          .forEach(flag -> flags.add(point.get("checkpoint").asText() + ": " + flag.asText()));
    }
    return flags;
  }

  /** The effects of an intervention study, as {@link StudyFiles} wrote them. */
  static Table effects(ObjectNode study) {
    var rows = new ArrayList<List<String>>();
    study
        .get("effects")
        .forEach(
            e ->
                rows.add(
                    List.of(
                        e.get("intervention").asText(),
                        cell(e.path("asr")),
                        cell(e.path("asr_other")),
                        cell(e.path("over_refusal")),
                        cell(e.path("answered")),
                        number(e.path("kl").asDouble(Double.NaN)),
                        number(e.path("score_harmful").asDouble(Double.NaN)),
                        number(e.path("score_benign").asDouble(Double.NaN)))));
    return new Table(Effect.HEAD, rows);
  }

  /** The figures of one measurement that belong to no layer. */
  static Table figures(ObjectNode point) {
    var rows = new ArrayList<List<String>>();
    for (var f : point.get("figures")) {
      if (!f.has("layer") || f.get("layer").equals(point.get("refusal_layer"))) {
        rows.add(
            List.of(
                f.get("measure").asText(),
                cell(f),
                number(f.path("null_mean").asDouble(Double.NaN)),
                number(f.path("p").asDouble(Double.NaN)),
                number(f.path("chance").asDouble(Double.NaN))));
      }
    }
    return new Table(List.of("measure", "value", "shuffled labels", "p", "chance"), rows);
  }

  /** A value with its interval. */
  static String cell(JsonNode figure) {
    if (!figure.has("value")) {
      return "-";
    }
    var value = number(figure.get("value").asDouble());
    return figure.has("low")
        ? "%s [%s, %s]"
            .formatted(
                value, number(figure.get("low").asDouble()), number(figure.get("high").asDouble()))
        : value;
  }

  static String number(double value) {
    return Double.isFinite(value) ? String.format(Locale.ROOT, "%.3f", value) : "";
  }
}
