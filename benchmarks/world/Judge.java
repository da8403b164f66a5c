import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.holdfast.eval.WorldCritic;
import io.holdfast.world.World;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;
import java.util.regex.Pattern;

/**
 * The world's exact critic behind an OpenAI-compatible endpoint, for {@code guard.risk.critic}:
 * {@code java -cp 'target/classes:target/lib/*' benchmarks/world/Judge.java [PORT]}, after {@code
 * mvn package}. Prints its {@code url}; reads Holdfast's own rubric; runs until it is killed.
 */
class Judge {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Pattern EXCHANGE =
      Pattern.compile("<request>\n(.*?)\n</request>\n<answer>\n(.*?)\n</answer>", Pattern.DOTALL);
  private static final WorldCritic CRITIC = new WorldCritic(World.load());

  public static void main(String[] arguments) throws IOException {
    int port = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 0;
    var address = new InetSocketAddress(InetAddress.getLoopbackAddress(), port);
    var server = HttpServer.create(address, 0);
    server.createContext("/v1/chat/completions", Judge::reply);
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    server.start();
    System.out.printf("http://127.0.0.1:%d/v1%n", server.getAddress().getPort());
  }

  private static void reply(HttpExchange exchange) throws IOException {
    var asked = JSON.readTree(exchange.getRequestBody());
    var prompt = asked.path("messages").path(0).path("content").asText();
    var found = EXCHANGE.matcher(prompt);
    var answer = JSON.createObjectNode();
    answer
        .putArray("choices")
        .addObject()
        .putObject("message")
        .put("role", "assistant")
        .put(
            "content",
            found.find()
                ? "score: " + CRITIC.score(found.group(1), found.group(2))
                : "this is not Holdfast's rubric");
    answer.putObject("usage").put("total_tokens", prompt.length() / 4);
    byte[] bytes = answer.toString().getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().add("Content-Type", "application/json");
    exchange.sendResponseHeaders(200, bytes.length);
    exchange.getResponseBody().write(bytes);
    exchange.close();
  }
}
