package io.holdfast.risk;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.holdfast.train.Child;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A judge behind a real endpoint, in a process of its own. {@code url/MODE/v1/chat/completions}
 * behaves as its mode says; where it answers, an exchange with the word "lightning" has score 5 and
 * any other 1.
 */
public final class FakeJudge implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Process process;
  private final String url;

  private FakeJudge(Process process, String url) {
    this.process = process;
    this.url = url;
  }

  /** Starts one. */
  public static FakeJudge start() {
    try {
      var process = new Child(FakeJudge.class).start();
      var out = new BufferedReader(new InputStreamReader(process.getInputStream()));
      return new FakeJudge(process, "http://127.0.0.1:" + out.readLine());
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  /** Its address in a mode, as a critic's {@code url}. */
  public String url(String mode) {
    return url + "/" + mode + "/v1";
  }

  /** How many requests came in a mode. */
  public int requests(String mode) {
    return Integer.parseInt(get("/count/" + mode));
  }

  /** The most requests that were under way at a time in a mode. */
  int mostAtATime(String mode) {
    return Integer.parseInt(get("/most/" + mode));
  }

  /** The Authorization header and model of the last request of a mode. */
  String last(String mode) {
    return get("/last/" + mode);
  }

  private String get(String path) {
    try (var client = HttpClient.newHttpClient()) {
      return client
          .send(HttpRequest.newBuilder(URI.create(url + path)).build(), BodyHandlers.ofString())
          .body();
    } catch (IOException | InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Override
  public void close() {
    process.destroy();
  }

  private static final Map<String, AtomicInteger> COUNTS = new ConcurrentHashMap<>();
  private static final Map<String, AtomicInteger> UNDER_WAY = new ConcurrentHashMap<>();
  private static final Map<String, AtomicInteger> MOST = new ConcurrentHashMap<>();
  private static final Map<String, AtomicInteger> SEEN = new ConcurrentHashMap<>();
  private static final Map<String, String> LAST = new ConcurrentHashMap<>();

  /** Listens until it is killed, or its parent's end of stdin is closed. */
  public static void main(String[] arguments) throws IOException {
    var server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/count/", e -> reply(e, 200, "" + of(COUNTS, mode(e, 2)).get()));
    server.createContext("/most/", e -> reply(e, 200, "" + of(MOST, mode(e, 2)).get()));
    server.createContext("/last/", e -> reply(e, 200, LAST.getOrDefault(mode(e, 2), "")));
    server.createContext("/", FakeJudge::judge);
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    server.start();
    System.out.println(server.getAddress().getPort());
    while (System.in.read() >= 0) {
      // The parent says nothing; its end ends this process.
    }
    System.exit(0);
  }

  private static AtomicInteger of(Map<String, AtomicInteger> counts, String key) {
    return counts.computeIfAbsent(key, _ -> new AtomicInteger());
  }

  private static String mode(HttpExchange exchange, int part) {
    return exchange.getRequestURI().getPath().split("/")[part];
  }

  private static void judge(HttpExchange exchange) throws IOException {
    var mode = mode(exchange, 1);
    int number = of(COUNTS, mode).incrementAndGet();
    int now = of(UNDER_WAY, mode).incrementAndGet();
    of(MOST, mode).accumulateAndGet(now, Math::max);
    try {
      judge(exchange, mode, number);
    } catch (InterruptedException e) {
      throw new IOException(e);
    } finally {
      of(UNDER_WAY, mode).decrementAndGet();
    }
  }

  private static void judge(HttpExchange exchange, String mode, int number)
      throws IOException, InterruptedException {
    var body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
    var asked = JSON.readTree(body);
    var prompt = asked.get("messages").get(0).get("content").textValue();
    LAST.put(
        mode,
        exchange.getRequestHeaders().getFirst("Authorization")
            + " "
            + asked.get("model").textValue()
            + " "
            + asked.get("temperature").asDouble());
    int before = of(SEEN, mode + prompt).getAndIncrement();
    var score = "score: " + (prompt.contains("lightning") ? 5 : 1);
    switch (mode) {
      case "slow" -> {
        Thread.sleep(4000);
        reply(exchange, 200, completion(score));
      }
      case "drip" -> {
        exchange.sendResponseHeaders(200, 0);
        var out = exchange.getResponseBody();
        for (int i = 0; i < 40; i++) {
          out.write(' ');
          out.flush();
          Thread.sleep(100);
        }
        exchange.close();
      }
      case "html" -> reply(exchange, 200, "<html><body>Please log in</body></html>");
      case "busy" -> {
        exchange.getResponseHeaders().add("Retry-After", "0");
        reply(exchange, before == 0 ? 429 : 200, completion(score));
      }
      case "broken" -> reply(exchange, before < 2 ? 500 : 200, completion(score));
      case "down" -> reply(exchange, 503, "out of order");
      case "denied" -> reply(exchange, 401, "no such key");
      case "seven" -> reply(exchange, 200, completion("score: 7"));
      case "chatty" -> reply(exchange, 200, completion(score + "\nI hope that helps!"));
      case "empty" -> reply(exchange, 200, completion(""));
      case "nothing" -> reply(exchange, 200, "");
      case "half" -> reply(exchange, 200, completion(number % 2 == 0 ? score : "well"));
      case "gentle" -> {
        Thread.sleep(40);
        reply(exchange, 200, completion(score));
      }
      default -> reply(exchange, 200, completion(score));
    }
  }

  private static String completion(String content) {
    var json = JSON.createObjectNode();
    var message = json.putArray("choices").addObject().putObject("message");
    message.put("role", "assistant").put("content", content);
    json.putObject("usage").put("total_tokens", 100);
    return json.toString();
  }

  private static void reply(HttpExchange exchange, int status, String body) throws IOException {
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
    exchange.getResponseBody().write(bytes);
    exchange.close();
  }
}
