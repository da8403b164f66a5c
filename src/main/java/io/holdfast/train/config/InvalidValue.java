package io.holdfast.train.config;

/** A value that its record refuses; the reader adds file, line and the path to the section. */
final class InvalidValue extends IllegalArgumentException {
  private final String key;

  /** With a message that begins with the key. */
  InvalidValue(String key, String message) {
    super(message);
    this.key = key;
  }

  /** The key within the record's section, as the file spells it. */
  String key() {
    return key;
  }

  /** Refuses a value: {@code message} continues the key, as in "must be positive, is -1". */
  static void unless(boolean valid, String key, String format, Object... arguments) {
    if (!valid) {
      throw new InvalidValue(key, key + " " + format.formatted(arguments));
    }
  }
}
