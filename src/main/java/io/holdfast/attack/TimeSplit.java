package io.holdfast.attack;

import java.util.Arrays;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/** Where the time of an attack goes. */
public final class TimeSplit {
  /** A part of the work. */
  public enum Part {
    /** Forward and backward pass of the string that is changed. */
    GRADIENT,
    /** Drawing candidates. */
    SAMPLING,
    /** Decoding and encoding them again. */
    FILTER,
    /** Their losses. */
    FORWARD,
    /** Answers of the model, where they are asked for. */
    EVALUATION
  }

  private final Map<Part, Long> nanos = new EnumMap<>(Part.class);
  private long candidates;

  <T> T time(Part part, Supplier<T> work) {
    long start = System.nanoTime();
    try {
      return work.get();
    } finally {
      nanos.merge(part, System.nanoTime() - start, Long::sum);
    }
  }

  void evaluated(int more) {
    candidates += more;
  }

  /** Seconds of a part. */
  public double seconds(Part part) {
    return nanos.getOrDefault(part, 0L) / 1e9;
  }

  /** Seconds of all parts. */
  public double total() {
    return Arrays.stream(Part.values()).mapToDouble(this::seconds).sum();
  }

  /** Candidates whose loss was computed. */
  public long candidates() {
    return candidates;
  }

  /** For instance {@code gradient 0.3 s, ..., 1234 candidates/s}. */
  @Override
  public String toString() {
    var parts =
        Arrays.stream(Part.values())
            .map(
                part ->
                    String.format(
                        Locale.ROOT,
                        "%s %.2f s",
                        part.name().toLowerCase(Locale.ROOT),
                        seconds(part)))
            .collect(Collectors.joining(", "));
    double total = total();
    return total == 0
        ? parts
        : parts + String.format(Locale.ROOT, "; %.0f candidates/s", candidates / total);
  }
}
