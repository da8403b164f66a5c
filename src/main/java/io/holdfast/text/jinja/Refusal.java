package io.holdfast.text.jinja;

/** What a template says when it calls {@code raise_exception}. */
public final class Refusal extends RuntimeException {
  Refusal(String message) {
    super(message);
  }
}
