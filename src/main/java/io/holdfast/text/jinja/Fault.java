package io.holdfast.text.jinja;

/** A template that is broken, uses what is not known here, or fails on its input. */
public final class Fault extends RuntimeException {
  Fault(String format, Object... arguments) {
    super(format.formatted(arguments));
  }

  /** The same fault with its line, unless it has one. */
  Fault at(int line) {
    return getMessage().startsWith("line ") ? this : new Fault("line %d: %s", line, getMessage());
  }
}
