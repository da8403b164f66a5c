package io.holdfast.eval;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.holdfast.HoldfastException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Pattern;

/**
 * The world's exact critic behind an OpenAI-compatible endpoint of this machine, which reads
 * Holdfast's own rubric: what {@code guard.risk.critic.url} asks for.
 */
public final class WorldCriticServer implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Pattern EXCHANGE =
      Pattern.compile("<request>\n(.*?)\n</request>\n<answer>\n(.*?)\n</answer>", Pattern.DOTALL);

  private final WorldCritic critic;
  private final HttpServer server;
  private final ExecutorService workers = Executors.newVirtualThreadPerTaskExecutor();

  private WorldCriticServer(WorldCritic critic, HttpServer server) {
    this.critic = critic;
    this.server = server;
    server.createContext("/v1/chat/completions", this::reply);
    server.setExecutor(workers);
    server.start();
  }

  /**
   * A server that answers until it is closed.
   *
   * @param port of the loopback address, or 0 for any that is free
   */
  public static WorldCriticServer start(WorldCritic critic, int port) {
    var address = new InetSocketAddress(InetAddress.getLoopbackAddress(), port);
    try {
      return new WorldCriticServer(critic, HttpServer.create(address, 0));
    } catch (IOException e) {
      throw HoldfastException.usage(
          "port %d of this machine cannot be listened on (%s); name another", port, e.getMessage());
    }
  }

  /** The endpoint's base, without a slash at its end. */
  public String url() {
    return "http://127.0.0.1:%d/v1".formatted(server.getAddress().getPort());
  }

  private void reply(HttpExchange exchange) throws IOException {
    var prompt =
        JSON.readTree(exchange.getRequestBody()).path("messages").path(0).path("content").asText();
    var found = EXCHANGE.matcher(prompt);
    var content =
        found.find()
            ? "score: " + critic.score(found.group(1), found.group(2))
            : "this is not Holdfast's rubric";
    var answer = JSON.createObjectNode();
    answer
        .putArray("choices")
        .addObject()
        .putObject("message")
        .put("role", "assistant")
        .put("content", content);
    answer.putObject("usage").put("total_tokens", prompt.length() / 4);
    byte[] bytes = answer.toString().getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().add("Content-Type", "application/json");
    exchange.sendResponseHeaders(200, bytes.length);
    exchange.getResponseBody().write(bytes);
    exchange.close();
  }

  @Override
  public void close() {
    server.stop(0);
    workers.close();
  }
}
