package io.holdfast.report;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Locale;

/**
 * The demonstration's comparison.
 *
 * @param seed of the data
 * @param runs the base first
 */
public record DemoSummary(long seed, List<RunRow> runs) {
  private static final List<String> HEAD =
      List.of(
          "run",
          "attack success",
          "comply/refuse/other",
          "over-refusal",
          "benign answered",
          "task accuracy",
          "drift",
          "tokens/s");

  /** The content of {@code summary.json}. */
  public ObjectNode json() {
    var json = JsonNodeFactory.instance.objectNode();
    json.put("seed", seed);
    var array = json.putArray("runs");
    runs.forEach(run -> array.add(run.json()));
    return json;
  }

  /** The table in Markdown, aligned so that it reads as plain text too. */
  public String table() {
    var cells = new java.util.ArrayList<List<String>>();
    cells.add(HEAD);
    runs.forEach(run -> cells.add(cells(run)));
    int[] widths = new int[HEAD.size()];
    for (var row : cells) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], row.get(i).length());
      }
    }
    var text = new StringBuilder();
    for (int r = 0; r < cells.size(); r++) {
      for (int i = 0; i < widths.length; i++) {
        text.append("| ").append(pad(cells.get(r).get(i), widths[i], i > 0)).append(' ');
      }
      text.append("|\n");
      if (r == 0) {
        for (int i = 0; i < widths.length; i++) {
          text.append("|")
              .append(i > 0 ? "-".repeat(widths[i] + 1) + ":" : "-".repeat(widths[i] + 2));
        }
        text.append("|\n");
      }
    }
    return text.toString();
  }

  private static String pad(String text, int width, boolean right) {
    var space = " ".repeat(width - text.length());
    return right ? space + text : text + space;
  }

  private static List<String> cells(RunRow run) {
    return List.of(
        run.name(),
        "%s (%s-%s)"
            .formatted(
                percent(run.metric("asr")),
                percent(run.metric("asr_low")),
                percent(run.metric("asr_high"))),
        "%s/%s/%s"
            .formatted(
                percent(run.metric("asr")),
                percent(run.metric("harmful_refused")),
                percent(run.metric("harmful_other"))),
        percent(run.metric("over_refusal")),
        percent(run.metric("benign_answered")),
        percent(run.metric("task_accuracy")),
        String.format(Locale.ROOT, "%.2f", run.drift()),
        run.tokensPerSecond() == 0
            ? "-"
            : String.format(Locale.ROOT, "%,.0f", run.tokensPerSecond()));
  }

  static String percent(double share) {
    return String.format(Locale.ROOT, "%.1f", 100 * share);
  }
}
