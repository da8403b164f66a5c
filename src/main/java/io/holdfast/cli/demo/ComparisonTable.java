package io.holdfast.cli.demo;

import io.holdfast.report.RunRow;
import io.holdfast.report.Table;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/** The results of a comparison, every figure its mean over the seeds with least and greatest. */
final class ComparisonTable {
  private static final Map<String, String> SHARES =
      share(
          "attack success",
          "asr",
          "other",
          "harmful_other",
          "over-refusal",
          "over_refusal",
          "benign answered",
          "benign_answered",
          "task accuracy",
          "task_accuracy",
          "repetition",
          "repetition");

  private record Key(String rows, String name) {}

  private final Map<Key, List<ArmResult>> results = new LinkedHashMap<>();

  void add(ArmResult result) {
    results
        .computeIfAbsent(new Key(result.rows(), result.row().name()), _ -> new ArrayList<>())
        .add(result);
  }

  private static Map<String, String> share(String... pairs) {
    var map = new LinkedHashMap<String, String>();
    for (int i = 0; i < pairs.length; i += 2) {
      map.put(pairs[i], pairs[i + 1]);
    }
    return map;
  }

  /** For readers. Where there is one seed, attack success has its 95 % Wilson interval. */
  String markdown() {
    var head = new ArrayList<>(List.of("run", "rows"));
    head.addAll(SHARES.keySet());
    head.addAll(List.of("drift", "cost of a step", "seeds"));
    var rows = new ArrayList<List<String>>();
    results.forEach(
        (key, runs) -> {
          var row = new ArrayList<>(List.of(key.name(), key.rows()));
          SHARES.values().forEach(metric -> row.add(percent(runs, metric)));
          row.add(cell(runs, 1, "%.2f", RunRow::drift));
          row.add(cost(key, runs));
          row.add(Integer.toString(runs.size()));
          rows.add(row);
        });
    return new Table(head, rows).markdown();
  }

  private static String percent(List<ArmResult> runs, String metric) {
    if (runs.size() == 1 && metric.equals("asr")) {
      var run = runs.getFirst().row();
      return String.format(
          Locale.ROOT,
          "%.1f (%.1f-%.1f)",
          100 * run.metric(metric),
          100 * run.metric(metric + "_low"),
          100 * run.metric(metric + "_high"));
    }
    return cell(runs, 100, "%.1f", run -> run.metric(metric));
  }

  private static String cell(
      List<ArmResult> runs, double factor, String format, ToDoubleFunction<RunRow> figure) {
    var all = runs.stream().map(ArmResult::row).mapToDouble(figure).summaryStatistics();
    var mean = String.format(Locale.ROOT, format, factor * all.getAverage());
    return runs.size() == 1
        ? mean
        : String.format(
            Locale.ROOT,
            "%s (" + format + "-" + format + ")",
            mean,
            factor * all.getMin(),
            factor * all.getMax());
  }

  /** Processor time of a step as a multiple of plain training's on the same rows. */
  private String cost(Key key, List<ArmResult> runs) {
    var plain = results.get(new Key(key.rows(), "plain"));
    double own = mean(runs, "cpu_ms_per_step");
    if (plain == null || !(own > 0)) {
      return "-";
    }
    return String.format(Locale.ROOT, "%.2f", own / mean(plain, "cpu_ms_per_step"));
  }

  private static double mean(List<ArmResult> runs, String metric) {
    return runs.stream().mapToDouble(run -> run.row().metric(metric)).average().orElse(0);
  }

  /** Every figure of every run, a line each. */
  String csv() {
    var lines = new StringBuilder();
    var names = new ArrayList<String>();
    results.values().stream()
        .flatMap(List::stream)
        .flatMap(result -> result.row().metrics().keySet().stream())
        .distinct()
        .forEach(names::add);
    lines.append("rows,run,seed,").append(String.join(",", names)).append(",drift\n");
    results.values().stream()
        .flatMap(List::stream)
        .forEach(
            result -> {
              lines.append(result.rows()).append(',').append(quoted(result.row().name()));
              lines.append(',').append(result.seed());
              names.forEach(name -> lines.append(',').append(result.row().metric(name)));
              lines.append(',').append(result.row().drift()).append('\n');
            });
    return lines.toString();
  }

  private static String quoted(String text) {
    return "\"" + text.replace("\"", "\"\"") + "\"";
  }
}
