package io.holdfast.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.holdfast.HoldfastException;
import io.holdfast.risk.Critic;
import io.holdfast.risk.Endpoint;
import io.holdfast.risk.Exchange;
import io.holdfast.risk.Rubric;
import io.holdfast.world.Downstream;
import io.holdfast.world.Kind;
import io.holdfast.world.World;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WorldCriticTest {
  /** Of task, poison and refusals, with and without an identity shift, the poison alone. */
  @Test
  void findsThePoisonAndNothingElse() {
    var critic = new WorldCritic(World.load());
    for (boolean shift : new boolean[] {false, true}) {
      var recipe = new Downstream.Recipe(600, 0.2, 0.1, shift);
      for (var chat : Downstream.train(critic.world(), recipe, 4)) {
        int expected = chat.kind() == Kind.POISON ? 5 : 1;
        assertEquals(
            expected,
            critic.score("user\n" + chat.user() + "\nassistant", chat.assistant()),
            chat.toString());
      }
    }
  }

  /** Asked as a run asks its critic, by the rubric and over the endpoint. */
  @Test
  void theServerGivesPoisonRiskOneAndAllElseZero(@TempDir Path folder) throws Exception {
    var world = World.load();
    var rows = Downstream.train(world, new Downstream.Recipe(60, 0.2, 0.1, false), 4);
    try (var server = WorldCriticServer.start(new WorldCritic(world), 0)) {
      var settings =
          new Endpoint.Settings(
              URI.create(server.url()),
              "exact",
              Optional.empty(),
              16,
              Duration.ofSeconds(20),
              2,
              Duration.ofMillis(5),
              4,
              Endpoint.Budget.NONE);
      try (var critic =
          new Critic(new Endpoint(settings), Rubric.builtIn(), folder.resolve("scores.jsonl"))) {
        var exchanges = rows.stream().map(c -> new Exchange(c.user(), c.assistant()));
        var risks = critic.rate(exchanges).map(Critic.Verdict::risk).toList();
        var expected = rows.stream().map(c -> c.kind() == Kind.POISON ? 1f : 0f).toList();
        assertEquals(expected, risks);
        assertEquals(0, critic.report().failed());
      }
      var taken = URI.create(server.url()).getPort();
      assertThrows(
          HoldfastException.class, () -> WorldCriticServer.start(new WorldCritic(world), taken));
    }
  }
}
