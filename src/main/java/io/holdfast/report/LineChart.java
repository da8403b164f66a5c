package io.holdfast.report;

import java.math.BigDecimal;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;

/**
 * Lines with their intervals, as SVG that needs nothing from elsewhere.
 *
 * @param title above it
 * @param across what the horizontal axis counts
 * @param lines at least one point among them
 * @param chance a level to compare with, NaN for none
 * @param top least upper end of the vertical axis, such as 1 for shares, NaN for none
 */
public record LineChart(String title, String across, List<Line> lines, double chance, double top) {
  private static final List<String> COLOURS =
      List.of("#2f6f9f", "#b23a26", "#2d7a58", "#8a5aa8", "#b07d16", "#5b6670");
  private static final double WIDTH = 560;
  private static final double HEIGHT = 260;
  private static final double LEFT = 52;
  private static final double RIGHT = 150;
  private static final double TOP = 14;
  private static final double BOTTOM = 38;
  private static final double HEAD = 28;

  /** Points that are told apart; more are a curve. */
  private static final int MARKED = 40;

  private static final String STYLE =
      """
      text { font: 11px system-ui, sans-serif; fill: #5b6670 } .title { font: 600 13px system-ui;
        fill: #1d252c } .end { text-anchor: end } .middle { text-anchor: middle }
      .grid { stroke: #d9d5ca } .chance { stroke: #5b6670; stroke-dasharray: 4 3 }
      """;

  /**
   * One line; a point whose value is NaN is left out.
   *
   * @param low lower ends of the intervals, NaN where there are none
   * @param high upper ends
   */
  public record Line(String name, double[] x, double[] y, double[] low, double[] high) {}

  /** A chart as high as its lines are. */
  public LineChart(String title, String across, List<Line> lines, double chance) {
    this(title, across, lines, chance, Double.NaN);
  }

  /** A chart of shares, whose axis goes from 0 to 1. */
  public static LineChart ofShares(String title, String across, List<Line> lines) {
    return new LineChart(title, across, lines, Double.NaN, 1);
  }

  /** The chart with its title, as a figure of a page that has its style. */
  String html() {
    return format(
        "<figure><figcaption>%s</figcaption>%n<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\""
            + " aria-label=\"%s\">%n%s</svg></figure>%n",
        Table.escape(title), WIDTH, HEIGHT, Table.escape(title), drawing());
  }

  /** The chart with its title and style, as a file of its own. */
  String svg() {
    return format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 %.0f %.0f %.0f\">%n<style>%n%s"
            + "</style>%n<rect y=\"%.0f\" width=\"100%%\" height=\"100%%\" fill=\"#fbfaf6\"/>%n"
            + "<text x=\"%.0f\" y=\"-8\" class=\"title\">%s</text>%n%s</svg>%n",
        -HEAD, WIDTH, HEIGHT + HEAD, STYLE, -HEAD, LEFT, Table.escape(title), drawing());
  }

  private String drawing() {
    double[] xs = finite(lines.stream().flatMapToDouble(l -> Arrays.stream(l.x())));
    double[] ys =
        finite(
            DoubleStream.concat(
                DoubleStream.of(chance, top),
                lines.stream()
                    .flatMapToDouble(
                        l ->
                            DoubleStream.concat(
                                Arrays.stream(l.y()),
                                DoubleStream.concat(
                                    Arrays.stream(l.low()), Arrays.stream(l.high()))))));
    var axes = new Axes(min(xs), max(xs), Scale.over(Math.min(0, min(ys)), max(ys)));
    var svg = new StringBuilder();
    grid(svg, axes, xs);
    if (Double.isFinite(chance)) {
      svg.append(
          format(
              "<path d=\"M%.1f %.1fH%.1f\" class=\"chance\"/><text x=\"%.1f\" y=\"%.1f\">chance"
                  + "</text>%n",
              LEFT, axes.y(chance), WIDTH - RIGHT, WIDTH - RIGHT + 6, axes.y(chance) + 4));
    }
    for (int i = 0; i < lines.size(); i++) {
      line(svg, axes, lines.get(i), COLOURS.get(i % COLOURS.size()), TOP + 12 + 16 * i);
    }
    return svg.toString();
  }

  /**
   * Round numbers along an axis.
   *
   * @param bottom the lowest, a multiple of the step
   * @param step 1, 2, 2.5 or 5 times a power of ten
   * @param intervals between the lowest and the highest
   */
  record Scale(double bottom, double step, int intervals) {
    /** Of about four intervals, from at most {@code low} to at least {@code high}. */
    static Scale over(double low, double high) {
      double wanted = (high > low ? high - low : 1) / 4;
      double power = Math.pow(10, Math.floor(Math.log10(wanted)));
      double step =
          DoubleStream.of(1, 2, 2.5, 5, 10)
              .map(factor -> factor * power)
              .filter(s -> s >= wanted * (1 - 1e-9))
              .findFirst()
              .orElseThrow();
      long first = (long) Math.floor(low / step + 1e-9);
      long last = (long) Math.ceil(high / step - 1e-9);
      return new Scale(first * step, step, (int) Math.max(1, last - first));
    }

    double top() {
      return bottom + intervals * step;
    }

    /** Its numbers from the bottom up, with as many decimals as the step has. */
    List<String> labels() {
      int decimals = Math.max(0, BigDecimal.valueOf(step).stripTrailingZeros().scale());
      return IntStream.rangeClosed(0, intervals)
          .mapToObj(i -> format("%." + decimals + "f", bottom + i * step))
          .toList();
    }
  }

  private record Axes(double left, double right, Scale scale) {
    double x(double value) {
      double share = right > left ? (value - left) / (right - left) : 0.5;
      return LEFT + share * (WIDTH - LEFT - RIGHT);
    }

    double y(double value) {
      double share = (value - scale.bottom()) / (scale.top() - scale.bottom());
      return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
    }
  }

  private void grid(StringBuilder svg, Axes axes, double[] xs) {
    List<String> labels = axes.scale().labels();
    for (int i = 0; i < labels.size(); i++) {
      double y = axes.y(axes.scale().bottom() + i * axes.scale().step());
      svg.append(
          format(
              "<path d=\"M%.1f %.1fH%.1f\" class=\"grid\"/><text x=\"%.1f\" y=\"%.1f\""
                  + " class=\"end\">%s</text>%n",
              LEFT, y, WIDTH - RIGHT, LEFT - 6, y + 4, labels.get(i)));
    }
    double[] ticks = Arrays.stream(xs).sorted().distinct().toArray();
    int every = Math.max(1, (ticks.length + 7) / 8);
    for (int i = 0; i < ticks.length; i += every) {
      svg.append(
          format(
              "<text x=\"%.1f\" y=\"%.1f\" class=\"middle\">%s</text>%n",
              axes.x(ticks[i]),
              HEIGHT - BOTTOM + 16,
              ticks[i] == Math.rint(ticks[i])
                  ? String.valueOf((long) ticks[i])
                  : format("%.2g", ticks[i])));
    }
    svg.append(
        format(
            "<text x=\"%.1f\" y=\"%.1f\" class=\"middle\">%s</text>%n",
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, Table.escape(across)));
  }

  private static void line(StringBuilder svg, Axes axes, Line line, String colour, double legend) {
    var path = new StringBuilder();
    for (int i = 0; i < line.x().length; i++) {
      if (!Double.isFinite(line.y()[i])) {
        continue;
      }
      double x = axes.x(line.x()[i]);
      path.append(format("%s%.1f %.1f", path.isEmpty() ? "M" : "L", x, axes.y(line.y()[i])));
      if (line.x().length <= MARKED) {
        svg.append(
            format(
                "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>%n",
                x, axes.y(line.y()[i]), colour));
      }
      if (Double.isFinite(line.low()[i]) && Double.isFinite(line.high()[i])) {
        svg.append(
            format(
                "<path d=\"M%.1f %.1fV%.1f\" stroke=\"%s\" opacity=\"0.5\"/>%n",
                x, axes.y(line.low()[i]), axes.y(line.high()[i]), colour));
      }
    }
    svg.append(format("<path d=\"%s\" fill=\"none\" stroke=\"%s\"/>%n", path, colour));
    svg.append(
        format(
            "<text x=\"%.1f\" y=\"%.1f\" style=\"fill: %s\">%s</text>%n",
            WIDTH - RIGHT + 6, legend, colour, Table.escape(line.name())));
  }

  private static double[] finite(DoubleStream values) {
    return values.filter(Double::isFinite).toArray();
  }

  private static double min(double[] values) {
    return Arrays.stream(values).min().orElse(0);
  }

  private static double max(double[] values) {
    return Arrays.stream(values).max().orElse(1);
  }

  private static String format(String format, Object... arguments) {
    return String.format(Locale.ROOT, format, arguments);
  }
}
