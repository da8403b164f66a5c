package io.holdfast.report;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * A table of text: names on the left, figures on the right of their columns.
 *
 * @param head names of the columns
 * @param rows as many cells each as there are columns
 */
public record Table(List<String> head, List<List<String>> rows) {
  public Table {
    head = List.copyOf(head);
    rows = rows.stream().map(List::copyOf).toList();
    for (var row : rows) {
      if (row.size() != head.size()) {
        throw new IllegalArgumentException(
            "a row of %d cells under %d columns".formatted(row.size(), head.size()));
      }
    }
  }

  /** As Markdown, padded so that it reads as plain text too. */
  public String markdown() {
    var all = new ArrayList<List<String>>();
    all.add(head);
    all.addAll(rows);
    int[] widths =
        IntStream.range(0, head.size())
            .map(i -> all.stream().mapToInt(row -> row.get(i).length()).max().orElse(0))
            .toArray();
    var lines = new ArrayList<String>();
    all.forEach(row -> lines.add(line(row, widths)));
    lines.add(
        1,
        IntStream.range(0, widths.length)
            .mapToObj(i -> i == 0 ? "-".repeat(widths[i] + 2) : "-".repeat(widths[i] + 1) + ":")
            .collect(Collectors.joining("|", "|", "|")));
    return String.join("\n", lines) + "\n";
  }

  private static String line(List<String> row, int[] widths) {
    return IntStream.range(0, widths.length)
        .mapToObj(
            i -> {
              var text = row.get(i).replace("|", "\\|");
              var space = " ".repeat(Math.max(0, widths[i] - text.length()));
              return i == 0 ? text + space : space + text;
            })
        .collect(Collectors.joining(" | ", "| ", " |"));
  }

  /** As HTML; the first cell of a row is its head. */
  public String html() {
    var text = new StringBuilder("<table>\n<thead><tr>");
    head.forEach(name -> text.append("<th scope=\"col\">").append(escape(name)).append("</th>"));
    text.append("</tr></thead>\n<tbody>\n");
    for (var row : rows) {
      text.append("<tr><th scope=\"row\">").append(escape(row.getFirst())).append("</th>");
      row.stream()
          .skip(1)
          .forEach(cell -> text.append("<td>").append(escape(cell)).append("</td>"));
      text.append("</tr>\n");
    }
    return text.append("</tbody>\n</table>\n").toString();
  }

  /** Text as it may stand in HTML. */
  static String escape(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\"", "&quot;");
  }
}
