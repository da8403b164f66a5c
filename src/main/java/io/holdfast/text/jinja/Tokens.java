package io.holdfast.text.jinja;

import io.holdfast.text.jinja.Token.Kind;
import java.util.List;

/** A place in the tokens of a template. */
final class Tokens {
  private final List<Token> tokens;
  private int at;

  Tokens(List<Token> tokens) {
    this.tokens = tokens;
  }

  Token peek() {
    return tokens.get(at);
  }

  Token next() {
    var token = tokens.get(at);
    at = Math.min(at + 1, tokens.size() - 1);
    return token;
  }

  /** Whether the token after the next is this operator. */
  boolean followedBy(String operator) {
    return at + 1 < tokens.size() && tokens.get(at + 1).is(operator);
  }

  void back() {
    at = peek().kind() == Kind.END ? at : at - 1;
  }

  boolean skip(String operator) {
    boolean there = peek().is(operator);
    at += there ? 1 : 0;
    return there;
  }

  boolean skipName(String name) {
    boolean there = peek().isName(name);
    at += there ? 1 : 0;
    return there;
  }

  Token expect(Kind kind) {
    if (peek().kind() != kind) {
      throw unexpected();
    }
    return next();
  }

  void expect(String operator) {
    if (!skip(operator)) {
      throw new Fault("line %d: %s where '%s' should be", peek().line(), peek(), operator);
    }
  }

  void expectName(String name) {
    if (!skipName(name)) {
      throw new Fault("line %d: %s where '%s' should be", peek().line(), peek(), name);
    }
  }

  Fault unexpected() {
    return new Fault("line %d: %s is not expected here", peek().line(), peek());
  }
}
