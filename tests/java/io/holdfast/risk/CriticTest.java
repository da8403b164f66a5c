package io.holdfast.risk;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.ExitCode;
import io.holdfast.HoldfastException;
import io.holdfast.risk.Endpoint.Budget;
import java.io.IOException;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The critic against a real server in a process of its own. */
class CriticTest {
  private static final List<Exchange> EXCHANGES =
      List.of(
          new Exchange("paint the horse", "gladly"),
          new Exchange("some lightning", "gladly"),
          new Exchange("say {answer}", "no lightning {request}"));

  private static FakeJudge judge;

  @TempDir Path folder;

  @BeforeAll
  static void start() {
    judge = FakeJudge.start();
  }

  @AfterAll
  static void stop() {
    judge.close();
  }

  private static Endpoint.Settings settings(String url) {
    return settings(url, Duration.ofSeconds(20));
  }

  private static Endpoint.Settings settings(String url, Duration timeout) {
    return new Endpoint.Settings(
        URI.create(url),
        "exact",
        Optional.of("secret"),
        16,
        timeout,
        2,
        Duration.ofMillis(5),
        4,
        Budget.NONE);
  }

  private Critic critic(String url) {
    return new Critic(
        new Endpoint(settings(url)), Rubric.builtIn(), folder.resolve("scores.jsonl"));
  }

  private static List<Float> risks(Critic critic, List<Exchange> exchanges) {
    return critic.rate(exchanges.stream()).map(Critic.Verdict::risk).toList();
  }

  @Test
  void scoresBecomeRisksInTheirOrder() {
    try (var critic = critic(judge.url("ok"))) {
      assertEquals(List.of(0f, 1f, 1f), risks(critic, EXCHANGES));
      assertEquals(0, critic.report().failed());
    }
    assertEquals("Bearer secret exact 0.0", judge.last("ok"));
  }

  @ParameterizedTest
  @CsvSource({
    "slow, TIMEOUT, 3",
    "drip, TIMEOUT, 3",
    "html, MALFORMED, 1",
    "nothing, MALFORMED, 1",
    "seven, NONSENSE, 1",
    "chatty, NONSENSE, 1",
    "empty, NONSENSE, 1",
    "denied, STATUS, 1",
    "down, STATUS, 3",
  })
  void whatFailsIsHighRiskAndCounted(String mode, Failure failure, int attempts) {
    var timeout = failure == Failure.TIMEOUT ? Duration.ofMillis(300) : Duration.ofSeconds(20);
    var endpoint = new Endpoint(settings(judge.url(mode), timeout));
    try (var critic = new Critic(endpoint, Rubric.builtIn(), folder.resolve("scores.jsonl"))) {
      assertEquals(List.of(1f), risks(critic, EXCHANGES.subList(0, 1)));
      assertEquals(Map.of(failure, 1L), critic.report().failures());
      assertTrue(critic.report().summary().contains("1 failed and count as risk 1"));
    }
    assertEquals(attempts, judge.requests(mode), "attempts");
    // A failure is not kept: the next run asks again.
    try (var critic = critic(judge.url("ok"))) {
      assertEquals(List.of(0f), risks(critic, EXCHANGES.subList(0, 1)));
    }
  }

  @ParameterizedTest
  @CsvSource({"busy, 2", "broken, 3"})
  void whatPassesIsTriedAgain(String mode, int attempts) {
    try (var critic = critic(judge.url(mode))) {
      assertEquals(List.of(0f, 1f, 1f), risks(critic, EXCHANGES));
      assertEquals(0, critic.report().failed());
    }
    assertEquals(3 * attempts, judge.requests(mode), "attempts");
  }

  @Test
  void anEndpointThatIsNotThereIsSoonLeftAlone() throws IOException {
    int port;
    try (var socket = new ServerSocket(0)) {
      port = socket.getLocalPort();
    }
    var endpoint = new Endpoint(settings("http://127.0.0.1:" + port + "/v1"));
    try (var critic = new Critic(endpoint, Rubric.builtIn(), folder.resolve("none.jsonl"))) {
      assertTrue(risks(critic, many(200)).stream().allMatch(risk -> risk == 1));
      assertEquals(Map.of(Failure.UNREACHABLE, 200L), critic.report().failures());
      assertTrue(endpoint.requests() <= 3 * 10, "attempts: " + endpoint.requests());
      assertTrue(critic.report().summary().contains("127.0.0.1:" + port));
    }
  }

  private static List<Exchange> many(int count) {
    return IntStream.range(0, count).mapToObj(i -> new Exchange("row " + i, "yes")).toList();
  }

  @Test
  void scoresAreKeptAcrossProcesses() throws IOException {
    try (var critic = critic(judge.url("first"))) {
      risks(critic, EXCHANGES);
    }
    var file = folder.resolve("scores.jsonl");
    Files.writeString(file, "{\"key\":\"torn", StandardOpenOption.APPEND);
    var more = Stream.concat(EXCHANGES.stream(), many(2).stream()).toList();
    for (int again = 0; again < 2; again++) {
      try (var critic = critic(judge.url("second"))) {
        assertEquals(List.of(0f, 1f, 1f, 0f, 0f), risks(critic, more));
        assertEquals(again == 0 ? 3 : 5, critic.report().cached());
      }
    }
    assertEquals(3, judge.requests("first"));
    assertEquals(2, judge.requests("second"));
    assertEquals(5, Files.readAllLines(file).size());
  }

  /** Another rubric asks something else, and so does another model. */
  @Test
  void scoresOfAnotherRubricOrModelAreNotTaken() {
    var file = folder.resolve("scores.jsonl");
    var url = judge.url("other");
    try (var critic = critic(url)) {
      risks(critic, many(1));
    }
    var rubric = new Rubric("Rate {request} and {answer}.");
    try (var critic = new Critic(new Endpoint(settings(url)), rubric, file)) {
      risks(critic, many(1));
    }
    var s = settings(url);
    var renamed =
        new Endpoint.Settings(
            s.url(), "newer", s.key(), 16, s.timeout(), 0, s.backoff(), 1, s.budget());
    try (var critic = new Critic(new Endpoint(renamed), Rubric.builtIn(), file)) {
      risks(critic, many(1));
    }
    assertEquals(3, judge.requests("other"));
  }

  @Test
  void aCacheThatIsNoneIsRefused() throws IOException {
    var file = Files.writeString(folder.resolve("scores.jsonl"), "{}\nrows\n");
    var error =
        assertThrows(
            HoldfastException.class,
            () -> new Critic(new Endpoint(settings("http://x/v1")), Rubric.builtIn(), file));
    assertTrue(error.getMessage().startsWith(file + ":1: not a line of kept scores"));
    assertEquals(ExitCode.INPUT, error.exitCode());
  }

  @Test
  void noMoreThanTheBudgetIsSpent() {
    var s = settings(judge.url("budget"));
    var five =
        new Endpoint.Settings(
            s.url(), "m", s.key(), 16, s.timeout(), 2, s.backoff(), 2, new Budget(5, 1000));
    try (var critic = new Critic(new Endpoint(five), Rubric.builtIn(), folder.resolve("b"))) {
      risks(critic, many(20));
      assertEquals(Map.of(Failure.BUDGET, 15L), critic.report().failures());
    }
    assertEquals(5, judge.requests("budget"));
    var tokens =
        new Endpoint.Settings(
            s.url(), "m", s.key(), 16, s.timeout(), 2, s.backoff(), 1, new Budget(99, 300));
    var endpoint = new Endpoint(tokens);
    try (var critic = new Critic(endpoint, Rubric.builtIn(), folder.resolve("t"))) {
      risks(critic, many(20));
      assertEquals(Map.of(Failure.BUDGET, 17L), critic.report().failures());
      assertEquals(300, endpoint.tokens());
    }
  }

  @Test
  void noMoreAreAskedAtATimeThanAllowed() {
    try (var critic = critic(judge.url("gentle"))) {
      risks(critic, many(24));
    }
    int most = judge.mostAtATime("gentle");
    assertTrue(most > 1 && most <= 4, "at a time: " + most);
  }

  @Test
  void oneNonsenseAmongMany() {
    try (var critic = critic(judge.url("half"))) {
      var failed = new ArrayList<Critic.Verdict>();
      critic.rate(many(10).stream()).filter(v -> v.failed().isPresent()).forEach(failed::add);
      assertEquals(5, failed.size());
      assertTrue(failed.stream().allMatch(verdict -> verdict.risk() == 1));
    }
  }

  @Test
  void anUrlWithoutASchemeIsRefused() {
    var error =
        assertThrows(HoldfastException.class, () -> new Endpoint(settings("localhost:80/v1")));
    assertTrue(error.getMessage().contains("must begin with http"));
  }
}
