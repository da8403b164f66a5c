package io.holdfast.risk;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.HoldfastException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Gatherers;
import java.util.stream.Stream;

/**
 * A chat model behind an OpenAI-compatible endpoint: {@code POST url/chat/completions}, at
 * temperature 0.
 *
 * <p>What may pass is tried again, after a pause that doubles each time, or as long as {@code
 * Retry-After} says: no connection, no reply in time, and the statuses 408, 429 and 5xx. After five
 * prompts in a row that had no success at all the endpoint counts as down, and the rest are not
 * asked.
 */
public final class Endpoint implements CriticModel {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int DOWN = 5;
  private static final int MAX_BODY = 1 << 20;
  private static final Duration LONGEST_PAUSE = Duration.ofSeconds(60);

  /**
   * How it is asked.
   *
   * @param url up to and including the version, {@code http://localhost:8000/v1}
   * @param model its name there
   * @param key sent as bearer token
   * @param maxTokens longest reply
   * @param timeout of each attempt, the whole reply included
   * @param retries attempts after the first
   * @param backoff pause before the first of them
   * @param concurrency attempts under way at a time
   * @param budget what may be spent
   */
  public record Settings(
      URI url,
      String model,
      Optional<String> key,
      int maxTokens,
      Duration timeout,
      int retries,
      Duration backoff,
      int concurrency,
      Budget budget) {}

  /**
   * What may be spent in all.
   *
   * @param requests attempts
   * @param tokens as the endpoint counts them; attempts under way may exceed it
   */
  public record Budget(long requests, long tokens) {
    /** No limit. */
    public static final Budget NONE = new Budget(Long.MAX_VALUE, Long.MAX_VALUE);
  }

  private final Settings settings;
  private final URI target;
  private final HttpClient client;
  private final AtomicLong requests = new AtomicLong();
  private final AtomicLong tokens = new AtomicLong();
  private final AtomicInteger failedInARow = new AtomicInteger();

  /** An endpoint; nothing is sent yet. */
  public Endpoint(Settings settings) {
    this.settings = settings;
    var base = settings.url().toString();
    this.target =
        URI.create(base + (base.endsWith("/") ? "" : "/") + "chat/completions").normalize();
    if (!"http".equals(target.getScheme()) && !"https".equals(target.getScheme())) {
      throw HoldfastException.usage(
          "critic url %s: must begin with http:// or https://", settings.url());
    }
    this.client =
        HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(settings.timeout())
            .build();
  }

  @Override
  public String id() {
    return settings.model();
  }

  /** Attempts so far. */
  public long requests() {
    return requests.get();
  }

  /** Tokens so far, as the endpoint counts them. */
  public long tokens() {
    return tokens.get();
  }

  @Override
  public Stream<Reply> ask(Stream<String> prompts) {
    return prompts.gather(Gatherers.mapConcurrent(settings.concurrency(), this::ask));
  }

  private Reply ask(String prompt) {
    var failed = new Reply.Failed(Failure.UNREACHABLE, "it did not answer those before");
    for (int attempt = 0; attempt <= settings.retries(); attempt++) {
      if (failedInARow.get() >= DOWN) {
        return failed;
      }
      if (tokens.get() >= settings.budget().tokens()
          || requests.getAndIncrement() >= settings.budget().requests()) {
        return new Reply.Failed(Failure.BUDGET, "the budget is used up");
      }
      switch (once(prompt)) {
        case Done(Reply reply) -> {
          failedInARow.set(0);
          return reply;
        }
        case Again(Reply.Failed why, Optional<Duration> after) -> {
          failed = why;
          if (attempt < settings.retries()) {
            pause(after.orElse(settings.backoff().multipliedBy(1L << attempt)));
          }
        }
      }
    }
    failedInARow.incrementAndGet();
    return failed;
  }

  private sealed interface Attempt {}

  private record Done(Reply reply) implements Attempt {}

  private record Again(Reply.Failed why, Optional<Duration> after) implements Attempt {}

  private Attempt once(String prompt) {
    var sent =
        client.sendAsync(request(prompt), BodyHandlers.limiting(BodyHandlers.ofString(), MAX_BODY));
    try {
      return read(sent.get(settings.timeout().toMillis(), TimeUnit.MILLISECONDS));
    } catch (TimeoutException e) {
      sent.cancel(true);
      return again(Failure.TIMEOUT, "no reply within " + seconds(settings.timeout()));
    } catch (ExecutionException e) {
      boolean late = e.getCause() instanceof java.net.http.HttpTimeoutException;
      return again(
          late ? Failure.TIMEOUT : Failure.UNREACHABLE, "%s (%s)".formatted(target, e.getCause()));
    } catch (InterruptedException e) {
      sent.cancel(true);
      Thread.currentThread().interrupt();
      return new Done(new Reply.Failed(Failure.UNREACHABLE, "interrupted"));
    }
  }

  private static Again again(Failure failure, String why) {
    return new Again(new Reply.Failed(failure, why), Optional.empty());
  }

  private HttpRequest request(String prompt) {
    var body = JSON.createObjectNode();
    body.put("model", settings.model());
    body.put("temperature", 0);
    body.put("max_tokens", settings.maxTokens());
    body.putArray("messages").addObject().put("role", "user").put("content", prompt);
    var request =
        HttpRequest.newBuilder(target)
            .timeout(settings.timeout())
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body.toString()));
    settings.key().ifPresent(key -> request.header("Authorization", "Bearer " + key));
    return request.build();
  }

  private Attempt read(HttpResponse<String> response) {
    int status = response.statusCode();
    if (status / 100 != 2) {
      var why =
          new Reply.Failed(Failure.STATUS, "HTTP %d: %s".formatted(status, start(response.body())));
      boolean passes = status == 408 || status == 429 || status >= 500;
      return passes ? new Again(why, retryAfter(response)) : new Done(why);
    }
    JsonNode json;
    try {
      json = JSON.readTree(response.body());
    } catch (JsonProcessingException e) {
      return new Done(new Reply.Failed(Failure.MALFORMED, "not JSON: " + start(response.body())));
    }
    tokens.addAndGet(Math.max(0, json.path("usage").path("total_tokens").asLong(0)));
    var content = json.path("choices").path(0).path("message").path("content");
    return new Done(
        content.isTextual()
            ? new Reply.Said(content.textValue())
            : new Reply.Failed(
                Failure.MALFORMED, "no choices[0].message.content: " + start(response.body())));
  }

  private static Optional<Duration> retryAfter(HttpResponse<?> response) {
    return response
        .headers()
        .firstValue("Retry-After")
        .filter(value -> value.matches("\\d{1,9}"))
        .map(value -> Duration.ofSeconds(Long.parseLong(value)))
        .map(wait -> wait.compareTo(LONGEST_PAUSE) > 0 ? LONGEST_PAUSE : wait);
  }

  private static void pause(Duration wait) {
    try {
      Thread.sleep(wait);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static String seconds(Duration duration) {
    return duration.toMillis() / 1e3 + " s";
  }

  /** The first words of what came instead of a reply. */
  private static String start(String body) {
    var line = body.strip().replaceAll("\\s+", " ");
    return line.length() > 80 ? line.substring(0, 80) + "..." : line;
  }

  @Override
  public void close() {
    client.shutdownNow();
  }
}
