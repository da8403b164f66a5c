package io.holdfast.report;

import java.util.List;
import java.util.Locale;

/** The demonstration as one page: no scripts, nothing loaded from elsewhere. */
public final class DemoPage {
  private static final int LEFT = 150;
  private static final int WIDTH = 420;
  private static final int ROW = 34;

  private DemoPage() {}

  private record Chart(String title, String key, String colour, String says) {}

  private static final List<Chart> CHARTS =
      List.of(
          new Chart(
              "Attack success",
              "asr",
              "var(--bad)",
              "Harmful requests over held-out pairs that were answered. Lower is safer."),
          new Chart(
              "Task accuracy",
              "task_accuracy",
              "var(--good)",
              "Exact answers on held-out rows of the task. Higher is better; compare attack success"
                  + " only at like accuracy."),
          new Chart(
              "Over-refusal",
              "over_refusal",
              "var(--warn)",
              "Fine requests, borderline ones included, that were refused. Lower is better."));

  /** The page as HTML. */
  public static String html(DemoSummary summary) {
    var page = new StringBuilder();
    page.append(
        """
        <!doctype html>
        <html lang="en"><meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Holdfast: fine-tuning with and without guards</title>
        <style>
        :root { color-scheme: light dark; --ink: #1c2430; --paper: #fbfaf7; --line: #d8d4ca;
          --bad: #b3402e; --good: #2f7d5b; --warn: #a8781c; --soft: #6a7280; }
        @media (prefers-color-scheme: dark) { :root { --ink: #e6e3db; --paper: #161a20;
          --line: #363c46; --bad: #e0765f; --good: #63b48d; --warn: #d3a64a; --soft: #9aa3b0; } }
        body { font: 16px/1.5 Georgia, serif; color: var(--ink); background: var(--paper);
          max-width: 54rem; margin: 2.5rem auto; padding: 0 1rem; }
        h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { font-size: 1.1rem; margin: 2rem 0 .2rem }
        p { margin: .3rem 0 .8rem; color: var(--soft) }
        table { border-collapse: collapse; width: 100%; font: 14px/1.4 system-ui, sans-serif;
          font-variant-numeric: tabular-nums }
        th, td { padding: .35rem .5rem; border-bottom: 1px solid var(--line); text-align: right }
        th:first-child, td:first-child { text-align: left }
        .wide { overflow-x: auto }
        svg { display: block; max-width: 100%; height: auto }
        svg text { font: 13px system-ui, sans-serif; fill: var(--ink) }
        </style>
        <h1>The same data, with and without guards</h1>
        <p>A small aligned model of a synthetic world is fine-tuned on an ordinary task of which one
        row in ten is poisoned. Bars show shares with 95&nbsp;% Wilson intervals.</p>
        """);
    CHARTS.forEach(chart -> chart(page, chart, summary.runs()));
    table(page, summary.runs());
    page.append(
        """
        <p>Drift: how far hidden states moved inside the safety subspace at the end of harmful
        prompts; 1 is the distance of harmful from benign prompts. A model that answers neither yes
        nor no is counted as other: it is broken, not safe.</p>
        """);
    page.append("<p>Data seed ").append(summary.seed()).append(".</p>\n</html>\n");
    return page.toString();
  }

  private static void chart(StringBuilder page, Chart chart, List<RunRow> runs) {
    int height = runs.size() * ROW + 24;
    page.append("<h2>").append(chart.title()).append("</h2>\n<p>").append(chart.says());
    page.append("</p>\n");
    page.append(
        "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s by run\">%n"
            .formatted(LEFT + WIDTH + 80, height, chart.title()));
    for (int tick = 0; tick <= 100; tick += 25) {
      double x = LEFT + WIDTH * tick / 100.0;
      page.append(
          svg(
              "<line x1='%.1f' x2='%.1f' y1='0' y2='%d' stroke='var(--line)'/>",
              x, x, height - 20));
      page.append(
          svg("<text x='%.1f' y='%d' text-anchor='middle'>%d %%</text>", x, height - 4, tick));
    }
    for (int i = 0; i < runs.size(); i++) {
      var run = runs.get(i);
      double value = run.metric(chart.key());
      double y = i * ROW + 6;
      page.append(
          svg(
              "<text x='%d' y='%.1f' text-anchor='end'>%s</text>",
              LEFT - 10, y + 15, escaped(run.name())));
      page.append(
          svg(
              "<rect x='%d' y='%.1f' width='%.1f' height='20' rx='2' fill='%s'/>",
              LEFT, y, Math.max(1, WIDTH * value), chart.colour()));
      double low = LEFT + WIDTH * run.metric(chart.key() + "_low");
      double high = LEFT + WIDTH * run.metric(chart.key() + "_high");
      page.append(
          svg(
              "<path d='M%.1f %.1fH%.1fM%.1f %.1fv8M%.1f %.1fv8' stroke='var(--ink)'"
                  + " stroke-width='1.5' fill='none'/>",
              low, y + 10, high, low, y + 6, high, y + 6));
      page.append(
          svg(
              "<text x='%.1f' y='%.1f'>%s</text>",
              Math.max(high, LEFT + WIDTH * value) + 8, y + 15, DemoSummary.percent(value)));
    }
    page.append("</svg>\n");
  }

  private static void table(StringBuilder page, List<RunRow> runs) {
    page.append("<h2>All figures</h2>\n<div class=\"wide\"><table><tr>");
    for (var head :
        List.of(
            "run",
            "attack success",
            "refused",
            "other",
            "over-refusal",
            "benign answered",
            "task accuracy",
            "drift",
            "tokens/s")) {
      page.append("<th scope=\"col\">").append(head).append("</th>");
    }
    page.append("</tr>\n");
    for (var run : runs) {
      page.append("<tr><td>").append(escaped(run.name())).append("</td>");
      for (var key :
          List.of(
              "asr",
              "harmful_refused",
              "harmful_other",
              "over_refusal",
              "benign_answered",
              "task_accuracy")) {
        page.append("<td>").append(DemoSummary.percent(run.metric(key))).append("</td>");
      }
      page.append(
          String.format(
              Locale.ROOT, "<td>%.2f</td><td>%,.0f</td>", run.drift(), run.tokensPerSecond()));
      page.append("</tr>\n");
    }
    page.append("</table></div>\n");
  }

  private static String svg(String format, Object... arguments) {
    return String.format(Locale.ROOT, format, arguments) + "\n";
  }

  private static String escaped(String text) {
    return text.replace("&", "&amp;").replace("<", "&lt;");
  }
}
