package io.holdfast.eval;

import java.util.List;

/** What a model is asked: the turns of a chat, the last one the user's. */
public record Prompt(String id, List<Turn> turns) {
  /** One turn; the role is {@code system}, {@code user} or {@code assistant}. */
  public record Turn(String role, String content) {}

  /** A single user turn. */
  public static Prompt user(String id, String content) {
    return new Prompt(id, List.of(new Turn("user", content)));
  }
}
