package io.holdfast.report;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.SequencedMap;
import java.util.stream.Collectors;

/**
 * A study as one page: prose, tables and charts, no scripts, nothing loaded from elsewhere.
 *
 * @param title of the page
 * @param parts in their order
 */
public record StudyPage(String title, List<Part> parts) {
  private static final String STYLE =
      """
      figure { margin: 1.5rem 0 } figcaption { font: 600 .875rem/1.4 system-ui, sans-serif }
      figure svg { width: 100%; max-width: 44rem; height: auto }
      figure text { font: 11px system-ui, sans-serif; fill: var(--soft) }
      .end { text-anchor: end } .middle { text-anchor: middle }
      .grid { stroke: var(--rule) } .chance { stroke: var(--soft); stroke-dasharray: 4 3 }
      """;

  /** A part of the page. */
  public sealed interface Part {
    /** A heading. */
    record Heading(String text) implements Part {}

    /** A paragraph. */
    record Prose(String text) implements Part {}

    /** A table that scrolls where it is wide. */
    record Sheet(Table table) implements Part {}

    /** A chart. */
    record Chart(LineChart chart) implements Part {}
  }

  /** The page as HTML. */
  public String html() {
    return """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>%1$s</title>
    <style>
    %2$s%3$s</style>
    </head>
    <body>
    <h1>%1$s</h1>
    %4$s</body>
    </html>
    """
        .formatted(
            Table.escape(title),
            DemoPage.STYLE,
            STYLE,
            parts.stream().map(StudyPage::html).collect(Collectors.joining()));
  }

  /** Its charts as SVG files, by name: numbered in their order. */
  public SequencedMap<String, String> plots() {
    var plots = new LinkedHashMap<String, String>();
    for (var part : parts) {
      if (part instanceof Part.Chart(LineChart chart)) {
        var words = chart.title().toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]+", "-");
        plots.put(
            "%02d-%s.svg".formatted(plots.size() + 1, words.replaceAll("^-|-$", "")), chart.svg());
      }
    }
    return plots;
  }

  private static String html(Part part) {
    return switch (part) {
      case Part.Heading(String text) -> "<h2>%s</h2>\n".formatted(Table.escape(text));
      case Part.Prose(String text) -> "<p>%s</p>\n".formatted(Table.escape(text));
      case Part.Sheet(Table table) -> "<div class=\"scroll\">\n%s</div>\n".formatted(table.html());
      case Part.Chart(LineChart chart) -> chart.html();
    };
  }
}
