package io.holdfast.text.jinja;

import io.holdfast.text.jinja.Expression.Arguments;
import io.holdfast.text.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Expressions by Jinja's grammar, from loose to tight: {@code if else}, {@code or}, {@code and},
 * {@code not}, comparisons, {@code + -}, {@code ~}, {@code * / // %}, {@code **}, sign, then calls,
 * attributes, items, filters and tests.
 */
final class ExpressionParser {
  private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");
  private static final Set<String> NO_TEST_ARGUMENT = Set.of("else", "or", "and", "if", "in", "is");

  private final Tokens tokens;

  ExpressionParser(Tokens tokens) {
    this.tokens = tokens;
  }

  /** One expression, or several with commas between them. */
  Expression tuple() {
    return tuple(expression());
  }

  /** As {@link #tuple()}, but a trailing {@code if} belongs to what follows. */
  Expression unconditionalTuple() {
    return tuple(or());
  }

  private Expression tuple(Expression first) {
    if (!tokens.peek().is(",")) {
      return first;
    }
    var items = new ArrayList<>(List.of(first));
    while (tokens.skip(",") && startsExpression(tokens.peek())) {
      items.add(expression());
    }
    return new Expression.TupleOf(items);
  }

  private static boolean startsExpression(Token token) {
    return switch (token.kind()) {
      case NAME, STRING, INTEGER, FLOAT -> true;
      case OPERATOR -> Set.of("(", "[", "{", "-", "+").contains(token.text());
      default -> false;
    };
  }

  Expression expression() {
    var value = or();
    while (tokens.skipName("if")) {
      var condition = or();
      value =
          new Expression.Conditional(
              condition, value, tokens.skipName("else") ? expression() : null);
    }
    return value;
  }

  private Expression or() {
    var left = and();
    while (tokens.skipName("or")) {
      left = new Expression.Or(left, and());
    }
    return left;
  }

  private Expression and() {
    var left = not();
    while (tokens.skipName("and")) {
      left = new Expression.And(left, not());
    }
    return left;
  }

  private Expression not() {
    return tokens.skipName("not") ? new Expression.Not(not()) : comparison();
  }

  private Expression comparison() {
    var operators = new ArrayList<String>();
    var operands = new ArrayList<>(List.of(sum()));
    while (true) {
      var token = tokens.peek();
      if (token.kind() == Kind.OPERATOR && COMPARISONS.contains(token.text())) {
        operators.add(tokens.next().text());
      } else if (tokens.skipName("in")) {
        operators.add("in");
      } else if (token.isName("not")) {
        tokens.next();
        tokens.expectName("in");
        operators.add("not in");
      } else {
        return operators.isEmpty()
            ? operands.getFirst()
            : new Expression.Comparison(operators, operands);
      }
      operands.add(sum());
    }
  }

  private Expression sum() {
    var left = concatenation();
    while (tokens.peek().is("+") || tokens.peek().is("-")) {
      left = new Expression.Binary(tokens.next().text(), left, concatenation());
    }
    return left;
  }

  private Expression concatenation() {
    var left = product();
    while (tokens.skip("~")) {
      left = new Expression.Binary("~", left, product());
    }
    return left;
  }

  private Expression product() {
    var left = power();
    while (tokens.peek().kind() == Kind.OPERATOR
        && Set.of("*", "/", "//", "%").contains(tokens.peek().text())) {
      left = new Expression.Binary(tokens.next().text(), left, power());
    }
    return left;
  }

  private Expression power() {
    var left = unary(true);
    while (tokens.skip("**")) {
      left = new Expression.Binary("**", left, unary(true));
    }
    return left;
  }

  private Expression unary(boolean withFilters) {
    Expression value;
    if (tokens.skip("-")) {
      value = new Expression.Negative(unary(false));
    } else if (tokens.skip("+")) {
      value = unary(false);
    } else {
      value = primary();
    }
    value = postfix(value);
    return withFilters ? filtersAndTests(value) : value;
  }

  private Expression primary() {
    var token = tokens.next();
    return switch (token.kind()) {
      case NAME ->
          switch (token.text()) {
            case "true", "True" -> new Expression.Literal(true);
            case "false", "False" -> new Expression.Literal(false);
            case "none", "None" -> new Expression.Literal(null);
            default -> new Expression.Name(token.text());
          };
      case STRING -> {
        var text = new StringBuilder(token.text());
        while (tokens.peek().kind() == Kind.STRING) {
          text.append(tokens.next().text());
        }
        yield new Expression.Literal(text.toString());
      }
      case INTEGER -> new Expression.Literal(Long.parseLong(token.text()));
      case FLOAT -> new Expression.Literal(Double.parseDouble(token.text()));
      default -> {
        if (token.is("(")) {
          yield parenthesised();
        }
        if (token.is("[")) {
          yield new Expression.ListOf(items("]"));
        }
        if (token.is("{")) {
          yield dict();
        }
        throw new Fault("line %d: %s is not expected here", token.line(), token);
      }
    };
  }

  private Expression parenthesised() {
    if (tokens.skip(")")) {
      return new Expression.TupleOf(List.of());
    }
    var value = tuple();
    tokens.expect(")");
    return value;
  }

  private List<Expression> items(String close) {
    var items = new ArrayList<Expression>();
    while (!tokens.skip(close)) {
      if (!items.isEmpty()) {
        tokens.expect(",");
        if (tokens.skip(close)) {
          break;
        }
      }
      items.add(expression());
    }
    return items;
  }

  private Expression dict() {
    var keys = new ArrayList<Expression>();
    var values = new ArrayList<Expression>();
    while (!tokens.skip("}")) {
      if (!keys.isEmpty()) {
        tokens.expect(",");
        if (tokens.skip("}")) {
          break;
        }
      }
      keys.add(expression());
      tokens.expect(":");
      values.add(expression());
    }
    return new Expression.DictOf(keys, values);
  }

  private Expression postfix(Expression value) {
    while (true) {
      if (tokens.skip(".")) {
        var name = tokens.next();
        value =
            name.kind() == Kind.INTEGER
                ? new Expression.Item(value, new Expression.Literal(Long.parseLong(name.text())))
                : new Expression.Attribute(value, name.text());
      } else if (tokens.skip("[")) {
        value = subscript(value);
      } else if (tokens.peek().is("(")) {
        value = new Expression.Call(value, arguments());
      } else {
        return value;
      }
    }
  }

  private Expression subscript(Expression value) {
    var from = tokens.peek().is(":") ? null : tuple();
    if (tokens.skip("]")) {
      return new Expression.Item(value, from);
    }
    tokens.expect(":");
    var to = tokens.peek().is(":") || tokens.peek().is("]") ? null : expression();
    var step = tokens.skip(":") && !tokens.peek().is("]") ? expression() : null;
    tokens.expect("]");
    return new Expression.Slice(value, from, to, step);
  }

  private Arguments arguments() {
    tokens.expect("(");
    var positional = new ArrayList<Expression>();
    var named = new LinkedHashMap<String, Expression>();
    while (!tokens.skip(")")) {
      if (!positional.isEmpty() || !named.isEmpty()) {
        tokens.expect(",");
        if (tokens.skip(")")) {
          break;
        }
      }
      if (tokens.peek().kind() == Kind.NAME && tokens.followedBy("=")) {
        var name = tokens.next().text();
        tokens.next();
        named.put(name, expression());
      } else {
        positional.add(expression());
      }
    }
    return new Arguments(positional, named);
  }

  private Expression filtersAndTests(Expression value) {
    while (true) {
      if (tokens.peek().is("|")) {
        value = filters(value, false);
      } else if (tokens.skipName("is")) {
        value = test(value);
      } else if (tokens.peek().is("(")) {
        value = new Expression.Call(value, arguments());
      } else {
        return value;
      }
    }
  }

  /** A chain of filters. In a filter block the first stands without its bar. */
  Expression filters(Expression value, boolean inBlock) {
    boolean first = inBlock;
    while (first || tokens.skip("|")) {
      first = false;
      var name = tokens.expect(Kind.NAME).text();
      var arguments = tokens.peek().is("(") ? arguments() : Arguments.NONE;
      value = new Expression.Filter(value, name, arguments);
    }
    return value;
  }

  private Expression test(Expression value) {
    boolean negated = tokens.skipName("not");
    var name = tokens.expect(Kind.NAME).text();
    var arguments = Arguments.NONE;
    var next = tokens.peek();
    if (next.is("(")) {
      arguments = arguments();
    } else if (startsTestArgument(next)) {
      arguments = new Arguments(List.of(postfix(primary())), Map.of());
    }
    var test = new Expression.Test(value, name, arguments);
    return negated ? new Expression.Not(test) : test;
  }

  private static boolean startsTestArgument(Token token) {
    return switch (token.kind()) {
      case STRING, INTEGER, FLOAT -> true;
      case NAME -> !NO_TEST_ARGUMENT.contains(token.text());
      case OPERATOR -> token.is("[") || token.is("{");
      default -> false;
    };
  }
}
