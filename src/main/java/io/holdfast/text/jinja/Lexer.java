package io.holdfast.text.jinja;

import io.holdfast.text.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * Cuts a template into tokens and settles its white space: {@code -} beside a tag strips, a block
 * tag swallows the line break after it and the indentation before it, {@code +} keeps them.
 */
final class Lexer {
  private static final Pattern NUMBER =
      Pattern.compile("\\d[\\d_]*(\\.\\d+)?([eE][+-]?\\d+)?", Pattern.DOTALL);
  private static final Pattern NAME = Pattern.compile("[\\p{L}_][\\p{L}\\p{N}_]*");
  private static final Pattern RAW_END =
      Pattern.compile("\\{%([-+]?)\\s*endraw\\s*([-+]?)%\\}(\\n?)");
  private static final List<String> OPERATORS =
      List.of(
          "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "|", ".", ",", ":", "(",
          ")", "[", "]", "{", "}", "=", "<", ">");

  private final String source;
  private final List<Token> tokens = new ArrayList<>();
  private int at;
  private int line = 1;
  private boolean lineStarting = true;

  private Lexer(String source) {
    this.source = source;
  }

  static List<Token> tokens(String template) {
    var source = template.replace("\r\n", "\n").replace('\r', '\n');
    var lexer =
        new Lexer(source.endsWith("\n") ? source.substring(0, source.length() - 1) : source);
    lexer.run();
    return lexer.tokens;
  }

  private void run() {
    while (at < source.length()) {
      int tag = nextTag();
      if (tag < 0) {
        text(source.substring(at));
        at = source.length();
        break;
      }
      char kind = source.charAt(tag + 1);
      char sign = tag + 2 < source.length() ? source.charAt(tag + 2) : ' ';
      text(stripped(source.substring(at, tag), kind, sign));
      at = tag + (sign == '-' || sign == '+' ? 3 : 2);
      switch (kind) {
        case '#' -> comment();
        case '{' -> inside(Kind.OUTPUT_BEGIN, Kind.OUTPUT_END, "}}");
        default -> {
          if (!raw()) {
            inside(Kind.BLOCK_BEGIN, Kind.BLOCK_END, "%}");
          }
        }
      }
    }
    add(Kind.END, "");
  }

  private int nextTag() {
    for (int i = source.indexOf('{', at); i >= 0; i = source.indexOf('{', i + 1)) {
      if (i + 1 < source.length() && "{%#".indexOf(source.charAt(i + 1)) >= 0) {
        return i;
      }
    }
    return -1;
  }

  /** Text before a tag, without what the tag takes of it. Its lines are counted all the same. */
  private String stripped(String text, char kind, char sign) {
    if (sign == '-') {
      var kept = text.stripTrailing();
      line += lines(text) - lines(kept);
      return kept;
    }
    if (kind != '{' && sign != '+') {
      int start = text.lastIndexOf('\n') + 1;
      if ((start > 0 || lineStarting) && text.substring(start).isBlank()) {
        return text.substring(0, start);
      }
    }
    return text;
  }

  private void text(String text) {
    if (!text.isEmpty()) {
      add(Kind.TEXT, text);
      line += lines(text);
    }
  }

  private void comment() {
    int end = source.indexOf("#}", at);
    if (end < 0) {
      throw new Fault("line %d: a comment is not closed", line);
    }
    line += lines(source.substring(at, end));
    boolean minus = source.charAt(end - 1) == '-';
    boolean plus = source.charAt(end - 1) == '+';
    at = end + 2;
    afterTag(minus, !plus);
  }

  private boolean raw() {
    var begin =
        Pattern.compile("\\s*raw\\s*([-+]?)%\\}").matcher(source).region(at, source.length());
    if (!begin.lookingAt()) {
      return false;
    }
    at = begin.end();
    afterTag(begin.group(1).equals("-"), !begin.group(1).equals("+"));
    var end = RAW_END.matcher(source);
    if (!end.find(at)) {
      throw new Fault("line %d: raw is not closed", line);
    }
    char sign = end.group(1).isEmpty() ? ' ' : end.group(1).charAt(0);
    text(stripped(source.substring(at, end.start()), '%', sign));
    at = end.end(2) + 2;
    afterTag(end.group(2).equals("-"), !end.group(2).equals("+"));
    return true;
  }

  /** What a closed tag takes of the text after it. */
  private void afterTag(boolean strip, boolean breakToo) {
    int from = at;
    if (strip) {
      while (at < source.length() && Character.isWhitespace(source.charAt(at))) {
        at++;
      }
    } else if (breakToo && at < source.length() && source.charAt(at) == '\n') {
      at++;
    }
    lineStarting = at > from && source.charAt(at - 1) == '\n';
    line += lines(source.substring(from, at));
  }

  private void inside(Kind begin, Kind end, String close) {
    int first = line;
    add(begin, close);
    int depth = 0;
    while (true) {
      while (at < source.length() && Character.isWhitespace(source.charAt(at))) {
        line += source.charAt(at++) == '\n' ? 1 : 0;
      }
      if (at >= source.length()) {
        throw new Fault("line %d: a tag is not closed", first);
      }
      char c = source.charAt(at);
      boolean signed = (c == '-' || c == '+' && end == Kind.BLOCK_END);
      if (depth == 0 && source.startsWith(close, at + (signed ? 1 : 0))) {
        at += close.length() + (signed ? 1 : 0);
        add(end, close);
        afterTag(c == '-', end == Kind.BLOCK_END && c != '+');
        return;
      }
      depth += "([{".indexOf(c) >= 0 ? 1 : ")]}".indexOf(c) >= 0 ? -1 : 0;
      one(c);
    }
  }

  private void one(char c) {
    if (c == '\'' || c == '"') {
      string(c);
      return;
    }
    var number = NUMBER.matcher(source).region(at, source.length());
    if (number.lookingAt()) {
      boolean whole = number.group(1) == null && number.group(2) == null;
      add(whole ? Kind.INTEGER : Kind.FLOAT, number.group().replace("_", ""));
      at = number.end();
      return;
    }
    var name = NAME.matcher(source).region(at, source.length());
    if (name.lookingAt()) {
      add(Kind.NAME, name.group());
      at = name.end();
      return;
    }
    for (var operator : OPERATORS) {
      if (source.startsWith(operator, at)) {
        add(Kind.OPERATOR, operator);
        at += operator.length();
        return;
      }
    }
    throw new Fault("line %d: '%s' means nothing here", line, c);
  }

  private void string(char quote) {
    int first = line;
    var value = new StringBuilder();
    for (at++; at < source.length() && source.charAt(at) != quote; at++) {
      char c = source.charAt(at);
      line += c == '\n' ? 1 : 0;
      if (c == '\\' && at + 1 < source.length()) {
        escape(value, source.charAt(++at));
      } else {
        value.append(c);
      }
    }
    if (at >= source.length()) {
      throw new Fault("line %d: a string is not closed", first);
    }
    at++;
    add(Kind.STRING, value.toString());
  }

  private void escape(StringBuilder value, char c) {
    switch (c) {
      case 'n' -> value.append('\n');
      case 't' -> value.append('\t');
      case 'r' -> value.append('\r');
      case 'b' -> value.append('\b');
      case 'f' -> value.append('\f');
      case '0' -> value.append('\0');
      case '\n' -> line++;
      case '\\', '\'', '"' -> value.append(c);
      case 'x' -> code(value, 2);
      case 'u' -> code(value, 4);
      case 'U' -> code(value, 8);
      default -> value.append('\\').append(c);
    }
  }

  private void code(StringBuilder value, int digits) {
    try {
      value.appendCodePoint(Integer.parseInt(source.substring(at + 1, at + 1 + digits), 16));
    } catch (IllegalArgumentException | IndexOutOfBoundsException e) {
      throw new Fault("line %d: a broken escape in a string", line);
    }
    at += digits;
  }

  private void add(Kind kind, String text) {
    tokens.add(new Token(kind, text, line));
  }

  private static int lines(String text) {
    return (int) text.chars().filter(c -> c == '\n').count();
  }
}
