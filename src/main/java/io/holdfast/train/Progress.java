package io.holdfast.train;

import java.io.PrintStream;
import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * How far a long piece of work has come, with its rate and the time that is left: a bar on a
 * terminal, now and then a line elsewhere. It writes to stderr, because stdout is for results.
 */
public final class Progress implements AutoCloseable {
  /** How progress is shown. */
  public enum Style {
    /** One line that is written over and over. */
    BAR,
    /** A line every ten seconds, and the last. */
    LINES,
    /** Nothing. */
    NONE;

    /** What suits this process; the launcher tells whether stderr is a terminal. */
    public static Style of(boolean quiet) {
      if (quiet) {
        return NONE;
      }
      return Boolean.getBoolean("holdfast.terminal") ? BAR : LINES;
    }
  }

  private static final long SECOND = 1_000_000_000L;
  private static final int WIDTH = 24;

  private final String name;
  private final long first;
  private final long total;
  private final Style style;
  private final PrintStream out;
  private final LongSupplier clock;
  private final long started;
  private long done;
  private String note = "";
  private long shown;
  private boolean stale;

  Progress(String name, long first, long total, Style style, PrintStream out, LongSupplier clock) {
    this.name = name;
    this.first = first;
    this.done = first;
    this.total = total;
    this.style = style;
    this.out = out;
    this.clock = clock;
    this.started = clock.getAsLong();
    this.shown = started;
  }

  /**
   * Begins to show progress on stderr.
   *
   * @param name what is done, a word or two
   * @param first what was done before, such as the steps before a resume
   * @param total what there is to do
   */
  public static Progress start(String name, long first, long total, Style style) {
    return new Progress(name, first, total, style, System.err, System::nanoTime);
  }

  /** Begins to show progress of work that starts at nothing. */
  public static Progress start(String name, long total, Style style) {
    return start(name, 0, total, style);
  }

  /**
   * Says how far it is.
   *
   * @param nowDone of the total
   * @param nowNote what else is worth seeing, such as the loss; may be empty
   */
  public void at(long nowDone, String nowNote) {
    done = nowDone;
    note = nowNote;
    stale = true;
    long now = clock.getAsLong();
    long pause = style == Style.BAR ? SECOND / 10 : 10 * SECOND;
    if (now - shown >= pause) {
      show(now);
    }
  }

  /** A message of its own line that leaves the bar whole. */
  public void say(String message) {
    if (style == Style.BAR) {
      out.print("\r\033[K");
    }
    if (style != Style.NONE) {
      out.println(message);
    }
  }

  /** Shows the last state. */
  @Override
  public void close() {
    if (stale) {
      show(clock.getAsLong());
    }
    if (style == Style.BAR) {
      out.println();
    }
  }

  private void show(long now) {
    shown = now;
    stale = false;
    switch (style) {
      case BAR -> {
        int filled = (int) Math.min(WIDTH, WIDTH * done / Math.max(1, total));
        var bar = "=".repeat(filled) + " ".repeat(WIDTH - filled);
        out.print("\r" + name + " [" + bar + "] " + state(now) + "\033[K");
        out.flush();
      }
      case LINES -> out.println(name + " " + state(now));
      case NONE -> {}
    }
  }

  private String state(long now) {
    double seconds = Math.max(1e-9, (now - started) / (double) SECOND);
    double rate = (done - first) / seconds;
    var text = new StringBuilder("%d/%d".formatted(done, total));
    if (rate > 0) {
      text.append(rate(rate));
      text.append(
          done < total
              ? ", " + duration((total - done) / rate) + " left"
              : ", took " + duration(seconds));
    }
    return note.isEmpty() ? text.toString() : text.append(", ").append(note).toString();
  }

  private static String rate(double rate) {
    return rate >= 1
        ? String.format(Locale.ROOT, ", %.1f/s", rate)
        : String.format(Locale.ROOT, ", %.1f s each", 1 / rate);
  }

  /** Seconds as {@code 7 s}, {@code 3:05} or {@code 2:03:05}. */
  static String duration(double seconds) {
    long s = Math.round(seconds);
    if (s < 60) {
      return s + " s";
    }
    return s < 3600
        ? "%d:%02d".formatted(s / 60, s % 60)
        : "%d:%02d:%02d".formatted(s / 3600, s / 60 % 60, s % 60);
  }
}
