package io.holdfast.text.jinja;

/**
 * A piece of a template.
 *
 * @param text the text, name, operator or number as written; a string's value
 */
record Token(Kind kind, String text, int line) {
  enum Kind {
    /** Text outside of tags. */
    TEXT,
    /** The start and end of {@code {% %}}. */
    BLOCK_BEGIN,
    BLOCK_END,
    /** The start and end of {@code {{ }}}. */
    OUTPUT_BEGIN,
    OUTPUT_END,
    NAME,
    STRING,
    INTEGER,
    FLOAT,
    OPERATOR,
    /** After the last token. */
    END
  }

  boolean is(String operator) {
    return kind == Kind.OPERATOR && text.equals(operator);
  }

  boolean isName(String name) {
    return kind == Kind.NAME && text.equals(name);
  }

  @Override
  public String toString() {
    return kind == Kind.END ? "the end of the template" : "'" + text + "'";
  }
}
