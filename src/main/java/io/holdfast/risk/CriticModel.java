package io.holdfast.risk;

import java.util.stream.Stream;

/** The model behind a critic: behind an endpoint, or in a folder. */
public sealed interface CriticModel extends AutoCloseable permits Endpoint, LocalCritic {
  /** What its scores depend on beside the prompt; scores are kept under this name. */
  String id();

  /**
   * Replies to prompts, lazily and in their order; never throws for a prompt that fails.
   *
   * @param prompts one user turn each
   */
  Stream<Reply> ask(Stream<String> prompts);

  /** What became of a prompt. */
  sealed interface Reply {
    /** A text. */
    record Said(String text) implements Reply {}

    /** No text. */
    record Failed(Failure failure, String why) implements Reply {}
  }

  @Override
  default void close() {}
}
