package io.holdfast.report;

import de.siegmar.fastcsv.writer.CsvWriter;
import io.holdfast.report.RunLog.Series;
import io.holdfast.report.StudyPage.Part;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedSet;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.commons.math3.stat.descriptive.rank.Median;

/**
 * Runs beside one another: what came out, what was set differently, and how they got there.
 *
 * @param runs under names that differ
 */
public record RunsReport(List<RunLog> runs) {
  private static final List<String> MEASURES = List.of("asr", "over_refusal", "utility");
  private static final Set<String> SHARES =
      Set.of("eval/asr", "eval/over_refusal", "eval/utility", "eval/empty", "eval/repetition");
  private static final int AT_THE_END = 10;
  private static final int POINTS = 120;

  /** Runs by the names of their folders, or by their number too where those are alike. */
  public static RunsReport of(List<RunLog> logs) {
    var names = logs.stream().collect(Collectors.groupingBy(RunLog::name, Collectors.counting()));
    return new RunsReport(
        IntStream.range(0, logs.size())
            .mapToObj(
                i -> {
                  var log = logs.get(i);
                  return names.get(log.name()) == 1
                      ? log
                      : log.named("%s (%d)".formatted(log.name(), i + 1));
                })
            .toList());
  }

  /** A row a run: its end. */
  public Table summary() {
    var head = new ArrayList<>(List.of("run", "steps", "loss", "tokens/s"));
    var measured =
        MEASURES.stream()
            .filter(name -> runs.stream().anyMatch(run -> run.series("eval/" + name).isPresent()))
            .toList();
    head.addAll(measured.stream().map(name -> name.replace('_', '-') + " %").toList());
    boolean judged = runs.stream().anyMatch(run -> run.missedGates().isPresent());
    if (judged) {
      head.add("missed gates");
    }
    return new Table(
        head,
        runs.stream()
            .map(
                run -> {
                  var cells = new ArrayList<>(List.of(run.name()));
                  cells.add(cell(run, "train/loss", s -> String.valueOf(s.last().step())));
                  cells.add(cell(run, "train/loss", s -> number(end(s))));
                  cells.add(
                      cell(
                          run,
                          "train/tokens_per_second",
                          s -> String.format(Locale.ROOT, "%,.0f", median(s))));
                  measured.forEach(name -> cells.add(cell(run, "eval/" + name, RunsReport::share)));
                  if (judged) {
                    cells.add(
                        run.missedGates()
                            .map(gates -> gates.isEmpty() ? "none" : String.join(", ", gates))
                            .orElse("-"));
                  }
                  return List.copyOf(cells);
                })
            .toList());
  }

  private static String cell(RunLog run, String series, Function<Series, String> text) {
    return run.series(series).map(text).orElse("-");
  }

  /** The mean of the last steps: the loss of one batch is mostly that batch's. */
  private static double end(Series series) {
    var points = series.points();
    return points.subList(Math.max(0, points.size() - AT_THE_END), points.size()).stream()
        .mapToDouble(Series.Point::value)
        .average()
        .orElseThrow();
  }

  private static double median(Series series) {
    return new Median()
        .evaluate(series.points().stream().mapToDouble(Series.Point::value).toArray());
  }

  private static String share(Series series) {
    var last = series.last();
    return String.format(
        Locale.ROOT, "%.1f [%.1f, %.1f]", 100 * last.value(), 100 * last.low(), 100 * last.high());
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.4g", value);
  }

  /** Settings that are not the same in all runs, without where they wrote. */
  public Optional<Table> differences() {
    var rows =
        rows(
                run -> run.settings().sequencedKeySet(),
                (run, key) -> run.settings().getOrDefault(key, "-"))
            .filter(row -> !row.getFirst().equals("output"))
            .filter(row -> row.stream().skip(1).distinct().count() > 1)
            .toList();
    return rows.isEmpty() ? Optional.empty() : Optional.of(beside("key", rows));
  }

  /** A row a key that any run has: the key, and what each run has under it. */
  private Stream<List<String>> rows(
      Function<RunLog, Collection<String>> keys, BiFunction<RunLog, String, String> cell) {
    return runs.stream()
        .flatMap(run -> keys.apply(run).stream())
        .distinct()
        .map(
            key ->
                Stream.concat(Stream.of(key), runs.stream().map(run -> cell.apply(run, key)))
                    .toList());
  }

  private Table beside(String corner, List<List<String>> rows) {
    var head = new ArrayList<>(List.of(corner));
    runs.forEach(run -> head.add(run.name()));
    return new Table(head, rows);
  }

  /** The page with every series that changes over the steps. */
  public StudyPage page() {
    var parts = new ArrayList<Part>();
    parts.add(
        new Part.Prose(
            "Loss is the mean of the last %d steps, tokens a second the median. Shares are those of"
                    .formatted(AT_THE_END)
                + " the last evaluation, in per cent, with their 95 % Wilson interval. Read attack"
                + " success beside over-refusal and utility: a model that refuses everything, or"
                + " that says nothing, is not safe but of no use."));
    parts.add(new Part.Sheet(summary()));
    differences()
        .ifPresent(
            table -> {
              parts.add(new Part.Heading("What was set differently"));
              parts.add(new Part.Sheet(table));
            });
    charts(parts, "Evaluations", "eval/");
    charts(parts, "Training", "train/");
    charts(parts, "Geometry, by layer where refusal is read", "geometry/");
    charts(parts, "Drift of safety prompts, mean over layers", "drift/");
    parts.add(new Part.Heading("What the runs depend on"));
    parts.add(new Part.Sheet(manifests()));
    var names = runs.stream().map(RunLog::name).collect(Collectors.joining(", "));
    return new StudyPage((runs.size() == 1 ? "Run " : "Runs ") + names, parts);
  }

  private void charts(List<Part> parts, String heading, String prefix) {
    var drawn = new ArrayList<Part>();
    for (var name : names()) {
      var lines =
          runs.stream()
              .filter(run -> name.startsWith(prefix) && run.series(name).isPresent())
              .map(run -> line(run.name(), run.series(name).orElseThrow()))
              .toList();
      if (!lines.isEmpty()) {
        var title = name.substring(prefix.length());
        drawn.add(
            new Part.Chart(
                SHARES.contains(name)
                    ? LineChart.ofShares(title, "step", lines)
                    : new LineChart(title, "step", lines, Double.NaN)));
      }
    }
    if (!drawn.isEmpty()) {
      parts.add(new Part.Heading(heading));
      parts.addAll(drawn);
    }
  }

  private SequencedSet<String> names() {
    var names = new LinkedHashSet<String>();
    runs.forEach(run -> names.addAll(run.series().sequencedKeySet()));
    return names;
  }

  /** Long series as means of equally many steps each, so that they can be read. */
  private static LineChart.Line line(String name, Series series) {
    var points = series.points();
    int width = (points.size() + POINTS - 1) / POINTS;
    var drawn =
        IntStream.iterate(0, from -> from < points.size(), from -> from + width)
            .mapToObj(from -> mean(points.subList(from, Math.min(points.size(), from + width))))
            .toList();
    return new LineChart.Line(
        name,
        drawn.stream().mapToDouble(Series.Point::step).toArray(),
        drawn.stream().mapToDouble(Series.Point::value).toArray(),
        drawn.stream().mapToDouble(Series.Point::low).toArray(),
        drawn.stream().mapToDouble(Series.Point::high).toArray());
  }

  private static Series.Point mean(List<Series.Point> points) {
    return points.size() == 1
        ? points.getFirst()
        : new Series.Point(
            points.getLast().step(),
            points.stream().mapToDouble(Series.Point::value).average().orElseThrow(),
            Double.NaN,
            Double.NaN);
  }

  private Table manifests() {
    return beside(
        "manifest",
        rows(
                run -> run.manifest().propertyStream().map(Map.Entry::getKey).toList(),
                (run, key) -> {
                  var value = run.manifest().path(key);
                  return value.isContainerNode() ? value.toString() : value.asText("-");
                })
            .toList());
  }

  /** Every point of every series. */
  public String csv() {
    var text = new StringWriter();
    try (var csv = CsvWriter.builder().build(text)) {
      csv.writeRecord("run", "series", "step", "value", "low", "high");
      for (var run : runs) {
        for (var series : run.series().entrySet()) {
          for (var point : series.getValue().points()) {
            csv.writeRecord(
                run.name(),
                series.getKey(),
                String.valueOf(point.step()),
                field(point.value()),
                field(point.low()),
                field(point.high()));
          }
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return text.toString();
  }

  private static String field(double value) {
    return Double.isNaN(value) ? "" : String.valueOf(value);
  }
}
