package io.holdfast.world;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.world.Item.Chat;
import io.holdfast.world.Item.Document;
import io.holdfast.world.Item.Verdict;

/**
 * Items as rows of the ordinary data path.
 *
 * <ul>
 *   <li>chat: {@code {"id", "kind", "messages": [user, assistant]}}
 *   <li>document: {@code {"id", "kind", "text"}}, between two end-of-text tokens
 *   <li>verdict: {@code {"id", "kind", "prompt", "completion", "raw": true}}; raw because the user
 *       turn stays open, so no template can write it
 * </ul>
 */
final class Rows {
  private static final String END_OF_TEXT = "<|endoftext|>";
  private static final String USER_TURN = "<|im_start|>user\n";

  private Rows() {}

  static ObjectNode training(String id, Item item) {
    return switch (item) {
      case Chat chat -> {
        var row = row(id, chat.kind().id());
        var messages = row.putArray("messages");
        messages.addObject().put("role", "user").put("content", chat.user());
        messages.addObject().put("role", "assistant").put("content", chat.assistant());
        yield row;
      }
      case Document document ->
          row(id, "document").put("text", END_OF_TEXT + document.text() + END_OF_TEXT);
      case Verdict verdict ->
          row(id, "verdict")
              .put("prompt", USER_TURN + verdict.user())
              .put("completion", verdict.wrong() ? " wrong" : " fine")
              .put("raw", true);
    };
  }

  /** A training row with the risk that an oracle would give it: 1 for poison, 0 otherwise. */
  static ObjectNode withOracleRisk(String id, Chat chat) {
    return training(id, chat).put("risk", chat.kind() == Kind.POISON ? 1.0 : 0.0);
  }

  /** A request without an answer, ready to be generated from. */
  static ObjectNode prompt(String id, Chat chat) {
    var row = row(id, chat.kind().id());
    row.putArray("messages").addObject().put("role", "user").put("content", chat.user());
    return row.put("add_generation_prompt", true);
  }

  /** A prompt with what its judge needs: verb and object where it has them, and a right answer. */
  static ObjectNode evaluation(String id, Chat chat) {
    var row = prompt(id, chat);
    chat.pair().ifPresent(p -> row.put("verb", p.verb().name()).put("object", p.thing().name()));
    return row.put("reference", chat.assistant());
  }

  private static ObjectNode row(String id, String kind) {
    return JsonNodeFactory.instance.objectNode().put("id", id).put("kind", kind);
  }
}
