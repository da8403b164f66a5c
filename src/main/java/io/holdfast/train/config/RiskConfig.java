package io.holdfast.train.config;

import static io.holdfast.train.config.InvalidValue.unless;

import io.holdfast.HoldfastException;
import io.holdfast.risk.CriticModel;
import io.holdfast.risk.Endpoint;
import io.holdfast.risk.LocalCritic;
import io.holdfast.risk.Rubric;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

/** Where the risk of a row comes from, 0 to 1. */
public sealed interface RiskConfig {
  /**
   * Written beside each row.
   *
   * @param column field with the risk
   */
  record Recorded(String column) implements RiskConfig {}

  /**
   * The same for every row.
   *
   * @param value the risk
   */
  record Constant(double value) implements RiskConfig {
    public Constant {
      unless(value >= 0 && value <= 1, "value", "must be in [0, 1], is %s", value);
    }
  }

  /**
   * Read from the hidden states of the model before it answers.
   *
   * @param predictor file that {@code risk fit} wrote
   * @param hard whether the risk is 1 from the predictor's threshold on and 0 below, instead of its
   *     probability
   */
  record Probe(Path predictor, @Default("false") boolean hard) implements RiskConfig {}

  /**
   * Scored by a model that judges each row.
   *
   * @param url of an OpenAI-compatible endpoint, up to and including its version
   * @param model its name at the endpoint; without {@code url} the folder of a chat model
   * @param keyEnv environment variable with the key, if the endpoint asks for one
   * @param rubric template that takes the place of Holdfast's own
   * @param cache file that keeps the scores; in the run folder if not given
   * @param when rows are scored
   * @param concurrency requests under way at a time
   * @param timeout seconds for a request and its whole reply
   * @param retries attempts after the first
   * @param backoff seconds before the first of them; each later pause is twice as long
   * @param maxTokens longest reply
   * @param maxRequests attempts in all; rows beyond count as high risk
   * @param maxTotalTokens tokens in all, as the endpoint counts them; likewise
   */
  record Critic(
      Optional<String> url,
      String model,
      Optional<String> keyEnv,
      Optional<Path> rubric,
      Optional<Path> cache,
      @Default("ahead") When when,
      @Default("8") int concurrency,
      @Default("60") double timeout,
      @Default("3") int retries,
      @Default("0.5") double backoff,
      @Default("64") int maxTokens,
      Optional<Long> maxRequests,
      Optional<Long> maxTotalTokens)
      implements RiskConfig {
    public Critic {
      unless(concurrency >= 1, "concurrency", "must be at least 1, is %s", concurrency);
      unless(timeout > 0, "timeout", "must be positive, is %s", timeout);
      unless(retries >= 0 && retries <= 20, "retries", "must be in [0, 20], is %s", retries);
      unless(backoff >= 0, "backoff", "must not be negative, is %s", backoff);
      unless(maxTokens >= 1, "max_tokens", "must be at least 1, is %s", maxTokens);
      boolean local = url.isEmpty();
      unless(!local || keyEnv.isEmpty(), "key_env", "goes with a url; %s is a folder", model);
      unless(!local || maxRequests.isEmpty(), "max_requests", "goes with a url");
      unless(!local || maxTotalTokens.isEmpty(), "max_total_tokens", "goes with a url");
      url.ifPresent(u -> unless(isUri(u), "url", "must be a URL, is '%s'", u));
    }

    private static boolean isUri(String text) {
      try {
        return text.equals(URI.create(text).toString());
      } catch (IllegalArgumentException e) {
        return false;
      }
    }

    /** When rows are scored. */
    public enum When {
      /** All of them before training. */
      AHEAD,
      /** Those of a step just before it. */
      ON_THE_FLY
    }

    /**
     * A critic's settings from a file of their own.
     *
     * @throws HoldfastException (usage) that names file, line, key and what is allowed
     */
    public static Critic load(Path file) {
      return new Binding<>(Critic.class).read(Yaml.file(file));
    }

    /**
     * The critic itself, which asks nothing yet.
     *
     * @param defaultCache file for its scores where the settings name none
     * @throws HoldfastException if the key, the rubric or the model is not there
     */
    public io.holdfast.risk.Critic open(Path defaultCache) {
      var asked = rubric.map(Rubric::read).orElseGet(Rubric::builtIn);
      return new io.holdfast.risk.Critic(opened(), asked, cache.orElse(defaultCache));
    }

    private CriticModel opened() {
      if (url.isEmpty()) {
        return LocalCritic.load(Path.of(model), maxTokens);
      }
      return new Endpoint(
          new Endpoint.Settings(
              URI.create(url.get()),
              model,
              keyEnv.map(Critic::key),
              maxTokens,
              seconds(timeout),
              retries,
              seconds(backoff),
              concurrency,
              new Endpoint.Budget(
                  maxRequests.orElse(Long.MAX_VALUE), maxTotalTokens.orElse(Long.MAX_VALUE))));
    }

    private static String key(String variable) {
      var key = System.getenv(variable);
      if (key == null || key.isBlank()) {
        throw HoldfastException.usage(
            "critic key_env: the environment has no %s; set it to the endpoint's key", variable);
      }
      return key.strip();
    }

    private static Duration seconds(double seconds) {
      return Duration.ofNanos((long) (seconds * 1e9));
    }
  }
}
