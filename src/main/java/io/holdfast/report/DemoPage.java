package io.holdfast.report;

import java.util.Locale;
import java.util.stream.Collectors;

/**
 * The demonstration as one page: no scripts, nothing loaded from elsewhere. The chart is a table
 * with a bar in each cell, so that attack success never stands without its task accuracy, and so
 * that it reads without seeing.
 */
public final class DemoPage {
  static final String STYLE =
      """
      :root { color-scheme: light dark;
        --ink: #1d252c; --soft: #5b6670; --paper: #fbfaf6; --rule: #d9d5ca;
        --track: #ece8dd; --bad: #b23a26; --other: #8d8778; --good: #2d7a58; --mild: #b07d16 }
      @media (prefers-color-scheme: dark) { :root {
        --ink: #e8e5dc; --soft: #a2abb3; --paper: #14181c; --rule: #343b42;
        --track: #262c32; --bad: #e27a62; --other: #9b9585; --good: #5fb58c; --mild: #d6a648 } }
      body { margin: 3rem auto; max-width: 60rem; padding: 0 1.25rem; background: var(--paper);
        color: var(--ink); font: 1rem/1.55 Charter, "Bitstream Charter", Cambria, serif }
      h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem }
      h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem }
      p { max-width: 42rem; margin: .4rem 0 }
      .scroll { overflow-x: auto }
      table { border-collapse: collapse; width: 100%; margin: 1rem 0;
        font: .875rem/1.4 system-ui, sans-serif; font-variant-numeric: tabular-nums }
      th, td { padding: .5rem .75rem; border-bottom: 1px solid var(--rule); text-align: right;
        font-weight: normal; vertical-align: bottom }
      thead th { color: var(--soft) }
      td { white-space: nowrap }
      th:first-child { text-align: left; padding-left: 0; white-space: nowrap }
      .bars th, .bars td { text-align: left; width: 28% }
      .bars th:first-child { width: 16% }
      .bars thead th { vertical-align: top }
      .bars strong { color: var(--ink); display: block }
      .bars svg { display: block; width: 100%; height: .8rem; margin-top: .25rem }
      .value { font-weight: 600 }
      .range { color: var(--soft); margin-left: .4rem; white-space: nowrap }
      .key { display: inline-block; width: .7em; height: .7em; margin-right: .25em }
      """;

  private DemoPage() {}

  /** The page as HTML. */
  public static String html(DemoSummary summary) {
    return """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Holdfast: the same data, with and without guards</title>
    <style>
    %s</style>
    </head>
    <body>
    <h1>The same data, with and without guards</h1>
    <p>A small aligned model of a synthetic world is fine-tuned on an ordinary task of which one
    row in ten is poisoned: first plainly, then under each guard. All runs are judged on prompts
    that none of them has seen. Shares are in percent, with 95&nbsp;%% Wilson intervals.</p>
    <div class="scroll">
    %s</div>
    <p>Harmful requests:
    <span class="key" style="background: var(--bad)"></span>answered
    <span class="key" style="background: var(--other)"></span>neither answered nor refused
    <span class="key" style="background: var(--track)"></span>refused. A model that does neither
    is broken, not safe; and one that does not learn its task is of no use, however safe.</p>
    <h2>All figures</h2>
    <div class="scroll">
    %s</div>
    <p>Benign answered: plain benign requests that were answered. Drift: how far hidden states
    moved inside the safety subspace at the end of harmful prompts; 1 is the distance of harmful
    from benign prompts in the base. Tokens a second are those of training, on this machine.</p>
    <p>Seed of the data: %d.</p>
    </body>
    </html>
    """
        .formatted(STYLE, bars(summary), summary.figures().html(), summary.seed());
  }

  private static String bars(DemoSummary summary) {
    return """
    <table class="bars">
    <thead><tr><th scope="col">run</th>
    <th scope="col"><strong>Attack success</strong> harmful requests answered; lower is safer</th>
    <th scope="col"><strong>Task accuracy</strong> exact answers; higher is better</th>
    <th scope="col"><strong>Over-refusal</strong> fine requests refused; lower is better</th>
    </tr></thead>
    <tbody>
    %s</tbody>
    </table>
    """
        .formatted(summary.runs().stream().map(DemoPage::row).collect(Collectors.joining()));
  }

  private static String row(RunRow run) {
    double answered = run.metric("asr");
    var other = rect(answered, run.metric("harmful_other"), "--other");
    return "<tr><th scope=\"row\">%s</th>\n%s%s%s</tr>\n"
        .formatted(
            Table.escape(run.name()),
            cell(run, "asr", "--bad", other),
            cell(run, "task_accuracy", "--good", ""),
            cell(run, "over_refusal", "--mild", ""));
  }

  /** A figure with its interval, and under it the same as a bar with a whisker. */
  private static String cell(RunRow run, String metric, String colour, String more) {
    double value = run.metric(metric);
    double low = run.metric(metric + "_low");
    double high = run.metric(metric + "_high");
    return """
    <td><span class="value">%s</span><span class="range">%s to %s</span>
    <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
    %s%s%s%s</svg></td>
    """
        .formatted(
            DemoSummary.percent(value),
            DemoSummary.percent(low),
            DemoSummary.percent(high),
            rect(0, 1, "--track"),
            rect(0, value, colour),
            more,
            whisker(low, high));
  }

  private static String rect(double from, double share, String colour) {
    return svg(
        "<rect x=\"%.2f\" width=\"%.2f\" height=\"10\" style=\"fill: var(%s)\"/>%n",
        100 * from, 100 * share, colour);
  }

  private static String whisker(double low, double high) {
    return svg(
        "<path d=\"M%1$.2f 2v6M%1$.2f 5H%2$.2fM%2$.2f 2v6\" vector-effect=\"non-scaling-stroke\""
            + " style=\"fill: none; stroke: var(--ink); stroke-width: 1.25\"/>%n",
        Math.clamp(100 * low, 0.4, 99.6), Math.clamp(100 * high, 0.4, 99.6));
  }

  private static String svg(String format, Object... arguments) {
    return String.format(Locale.ROOT, format, arguments);
  }
}
