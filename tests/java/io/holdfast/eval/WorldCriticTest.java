package io.holdfast.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.holdfast.world.Downstream;
import io.holdfast.world.Kind;
import io.holdfast.world.World;
import org.junit.jupiter.api.Test;

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
}
