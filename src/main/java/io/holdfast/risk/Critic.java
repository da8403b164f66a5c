package io.holdfast.risk;

import io.holdfast.checkpoint.Sha256;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Gatherers;
import java.util.stream.Stream;

/**
 * A Safety Critic (Goel et al. 2026): a model that rates by a rubric how unsafe it would be to
 * learn an answer, from 1 to 5. The risk is {@code (score - 1) / 4}; a critic that fails or talks
 * nonsense fails closed: the risk is 1.
 */
public final class Critic implements AutoCloseable {
  private static final int TOGETHER = 64;

  private final CriticModel model;
  private final Rubric rubric;
  private final ScoreCache cache;
  private final Report report = new Report();

  /**
   * A critic; it closes the model with itself.
   *
   * @param cache file that keeps scores; failures are not kept
   */
  public Critic(CriticModel model, Rubric rubric, Path cache) {
    this.model = model;
    this.rubric = rubric;
    this.cache = new ScoreCache(cache);
  }

  /**
   * What a critic said of one exchange.
   *
   * @param score 1 to 5, empty if it failed
   * @param failed why it did
   */
  public record Verdict(OptionalInt score, Optional<CriticModel.Reply.Failed> failed) {
    /** From 0 to 1. */
    public float risk() {
      return score.isPresent() ? (score.getAsInt() - 1) / 4f : 1;
    }
  }

  /** What a critic has done so far. */
  public static final class Report {
    private long rows;
    private long cached;
    private final Map<Failure, Long> failures = new EnumMap<>(Failure.class);
    private String example = "";

    /** Exchanges rated, failures included. */
    public long rows() {
      return rows;
    }

    /** Those of them whose score was in the cache. */
    public long cached() {
      return cached;
    }

    /** Those that count as high risk because the critic failed. */
    public long failed() {
      return failures.values().stream().mapToLong(Long::longValue).sum();
    }

    /** By kind. */
    public Map<Failure, Long> failures() {
      return failures;
    }

    /** In a sentence. */
    public String summary() {
      var kinds =
          failures.entrySet().stream()
              .map(entry -> entry.getValue() + " " + entry.getKey().id())
              .toList();
      return "critic: %,d rows, %,d from the cache, %,d failed%s"
          .formatted(
              rows,
              cached,
              failed(),
              failures.isEmpty()
                  ? ""
                  : " and count as risk 1 (%s; the first: %s)"
                      .formatted(String.join(", ", kinds), example));
    }

    private synchronized void add(Verdict verdict, boolean fromCache) {
      rows++;
      cached += fromCache ? 1 : 0;
      verdict
          .failed()
          .ifPresent(
              failed -> {
                if (failures.isEmpty()) {
                  example = failed.why();
                }
                failures.merge(failed.failure(), 1L, Long::sum);
              });
    }
  }

  /** What has been done so far. */
  public Report report() {
    return report;
  }

  /** Rates exchanges, a few at a time, in their order; never throws because one fails. */
  public Stream<Verdict> rate(Stream<Exchange> exchanges) {
    return exchanges
        .gather(Gatherers.windowFixed(TOGETHER))
        .flatMap(some -> together(some).stream());
  }

  private record Asked(String key, String prompt, OptionalInt kept) {}

  private List<Verdict> together(List<Exchange> exchanges) {
    var asked = exchanges.stream().map(rubric::prompt).map(this::asked).toList();
    var missing = asked.stream().filter(one -> one.kept().isEmpty()).map(Asked::prompt).distinct();
    var prompts = missing.toList();
    var replies = new java.util.HashMap<String, Verdict>();
    var next = new ArrayDeque<>(prompts);
    model
        .ask(prompts.stream())
        .forEachOrdered(
            reply -> {
              var prompt = next.remove();
              replies.put(prompt, verdict(reply, key(prompt)));
            });
    return asked.stream()
        .map(
            one -> {
              boolean kept = one.kept().isPresent();
              var verdict =
                  kept ? new Verdict(one.kept(), Optional.empty()) : replies.get(one.prompt());
              report.add(verdict, kept);
              return verdict;
            })
        .toList();
  }

  private Asked asked(String prompt) {
    var key = key(prompt);
    return new Asked(key, prompt, cache.get(key));
  }

  private Verdict verdict(CriticModel.Reply reply, String key) {
    return switch (reply) {
      case CriticModel.Reply.Failed failed -> new Verdict(OptionalInt.empty(), Optional.of(failed));
      case CriticModel.Reply.Said(String text) -> {
        var score = Rubric.score(text);
        score.ifPresent(value -> cache.put(key, value));
        yield new Verdict(
            score,
            score.isPresent()
                ? Optional.empty()
                : Optional.of(
                    new CriticModel.Reply.Failed(
                        Failure.NONSENSE, "it said '%s'".formatted(shortened(text)))));
      }
    };
  }

  private static String shortened(String text) {
    var line = text.strip().replaceAll("\\s+", " ");
    return line.length() > 60 ? line.substring(0, 60) + "..." : line;
  }

  /** The prompt holds rubric, request and answer. */
  private String key(String prompt) {
    return Sha256.of(model.id() + "\0" + prompt);
  }

  @Override
  public void close() {
    cache.close();
    model.close();
  }
}
