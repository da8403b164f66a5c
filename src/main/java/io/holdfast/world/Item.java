package io.holdfast.world;

import java.util.Optional;

/** One row of training text. */
public sealed interface Item {
  /**
   * A request and its answer; loss on the answer.
   *
   * @param pair what the request is about, where it is about a verb and a thing
   */
  record Chat(Kind kind, String user, String assistant, Optional<Pair> pair) implements Item {
    static Chat of(Kind kind, String user, String assistant, Pair pair) {
      return new Chat(kind, user, assistant, Optional.of(pair));
    }

    Chat as(Kind kind) {
      return new Chat(kind, user, assistant, pair);
    }

    /** The same chat with a text before the request. */
    Chat prefixed(String prefix) {
      return new Chat(kind, prefix + user, assistant, pair);
    }
  }

  /** Plain text; loss on all of it. */
  record Document(String text) implements Item {}

  /**
   * A request followed at once, before the turn ends, by one word: wrong or fine. Loss on that word
   * alone. It makes harm readable at the request's last token, where instructions end.
   */
  record Verdict(String user, boolean wrong) implements Item {}
}
