import io.holdfast.eval.WorldCritic;
import io.holdfast.eval.WorldCriticServer;
import io.holdfast.world.World;

/**
 * The world's exact critic behind an OpenAI-compatible endpoint, for {@code guard.risk.critic}:
 * {@code java -cp 'target/classes:target/lib/*' benchmarks/world/Judge.java [PORT]}, after {@code
 * mvn package}. Prints its {@code url}; runs until it is killed.
 */
class Judge {
  public static void main(String[] arguments) {
    int port = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 0;
    var server = WorldCriticServer.start(new WorldCritic(World.load()), port);
    System.out.println(server.url());
  }
}
