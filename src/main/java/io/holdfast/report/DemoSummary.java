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
    return figures().markdown();
  }

  /** Every figure, shares in percent; attack success with its interval. */
  Table figures() {
    return new Table(HEAD, runs.stream().map(DemoSummary::cells).toList());
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
