package io.holdfast.text.jinja;

import io.holdfast.text.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Statements of a template; expressions are {@link ExpressionParser}'s. */
final class Parser {
  private final Tokens tokens;
  private final ExpressionParser expressions;
  private boolean marks;

  private Parser(Tokens tokens) {
    this.tokens = tokens;
    this.expressions = new ExpressionParser(tokens);
  }

  static Template parse(String template) {
    var tokens = new Tokens(Lexer.tokens(template));
    var parser = new Parser(tokens);
    var nodes = parser.body(Set.of());
    if (tokens.peek().kind() != Kind.END) {
      throw tokens.unexpected();
    }
    return new Template(nodes, parser.marks);
  }

  /** Statements up to a tag with one of these names, whose name is then the next token. */
  private List<Node> body(Set<String> ends) {
    var nodes = new ArrayList<Node>();
    while (true) {
      var token = tokens.next();
      switch (token.kind()) {
        case TEXT -> nodes.add(new Node.Text(token.text()));
        case OUTPUT_BEGIN -> {
          nodes.add(new Node.Output(expressions.tuple(), token.line()));
          tokens.expect(Kind.OUTPUT_END);
        }
        case BLOCK_BEGIN -> {
          var name = tokens.peek();
          if (ends.contains(name.text())) {
            return nodes;
          }
          tokens.next();
          nodes.add(statement(name));
        }
        default -> {
          tokens.back();
          if (!ends.isEmpty()) {
            throw new Fault(
                "line %d: the template ends before %s", token.line(), String.join(" or ", ends));
          }
          return nodes;
        }
      }
    }
  }

  private Node statement(Token name) {
    return switch (name.text()) {
      case "if" -> branches(name.line());
      case "for" -> loop(name.line());
      case "set" -> set(name.line());
      case "macro" -> macro();
      case "generation" -> {
        marks = true;
        close();
        yield new Node.Generation(closed("endgeneration"));
      }
      case "filter" -> {
        var filtered = expressions.filters(new Expression.Name(Node.BODY), true);
        close();
        yield new Node.FilterBlock(filtered, closed("endfilter"), name.line());
      }
      case "with" -> with(name.line());
      case "break" -> {
        close();
        yield new Node.Break();
      }
      case "continue" -> {
        close();
        yield new Node.Continue();
      }
      default -> throw new Fault("line %d: the tag '%s' is not known", name.line(), name.text());
    };
  }

  private Node branches(int line) {
    var branches = new ArrayList<Node.If.Branch>();
    var condition = expressions.tuple();
    while (true) {
      close();
      var body = body(Set.of("elif", "else", "endif"));
      branches.add(new Node.If.Branch(condition, body, line));
      line = tokens.peek().line();
      switch (tokens.next().text()) {
        case "elif" -> condition = expressions.tuple();
        case "else" -> {
          close();
          branches.add(new Node.If.Branch(null, closed("endif"), line));
          return new Node.If(branches);
        }
        default -> {
          close();
          return new Node.If(branches);
        }
      }
    }
  }

  private Node loop(int line) {
    var targets = names();
    tokens.expectName("in");
    var over = expressions.unconditionalTuple();
    var condition = tokens.skipName("if") ? expressions.expression() : null;
    close();
    var body = body(Set.of("else", "endfor"));
    List<Node> otherwise = List.of();
    if (tokens.next().text().equals("else")) {
      close();
      otherwise = closed("endfor");
    } else {
      close();
    }
    return new Node.For(targets, over, condition, body, otherwise, line);
  }

  private Node set(int line) {
    var targets = names();
    if (targets.size() == 1 && tokens.skip(".")) {
      var field = tokens.expect(Kind.NAME).text();
      tokens.expect("=");
      var value = expressions.tuple();
      close();
      return new Node.SetField(targets.getFirst(), field, value, line);
    }
    if (tokens.skip("=")) {
      var value = expressions.tuple();
      close();
      return new Node.Set(targets, value, line);
    }
    var filtered = expressions.filters(new Expression.Name(Node.BODY), false);
    close();
    return new Node.SetBlock(targets.getFirst(), filtered, closed("endset"), line);
  }

  private Node macro() {
    var name = tokens.expect(Kind.NAME).text();
    var parameters = new ArrayList<String>();
    var defaults = new ArrayList<Expression>();
    tokens.expect("(");
    while (!tokens.skip(")")) {
      if (!parameters.isEmpty()) {
        tokens.expect(",");
      }
      parameters.add(tokens.expect(Kind.NAME).text());
      defaults.add(tokens.skip("=") ? expressions.expression() : null);
    }
    close();
    return new Node.Macro(name, parameters, defaults, closed("endmacro"));
  }

  private Node with(int line) {
    var sets = new ArrayList<Node.Set>();
    while (tokens.peek().kind() != Kind.BLOCK_END) {
      if (!sets.isEmpty()) {
        tokens.expect(",");
      }
      var name = tokens.expect(Kind.NAME).text();
      tokens.expect("=");
      sets.add(new Node.Set(List.of(name), expressions.expression(), line));
    }
    close();
    return new Node.With(sets, closed("endwith"));
  }

  private List<String> names() {
    boolean parenthesised = tokens.skip("(");
    var names = new ArrayList<String>();
    do {
      names.add(tokens.expect(Kind.NAME).text());
    } while (tokens.skip(","));
    if (parenthesised) {
      tokens.expect(")");
    }
    return names;
  }

  private List<Node> closed(String end) {
    var body = body(Set.of(end));
    tokens.next();
    close();
    return body;
  }

  private void close() {
    tokens.expect(Kind.BLOCK_END);
  }
}
