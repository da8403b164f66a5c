package io.holdfast.text.jinja;

import io.holdfast.text.jinja.Expression.Arguments;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;

/** Values of expressions. */
final class Evaluator {
  private Evaluator() {}

  static Object value(Expression expression, Scope scope) {
    return switch (expression) {
      case Expression.Literal(var value) -> value;
      case Expression.Name(var name) -> scope.get(name);
      case Expression.ListOf(var items) -> values(items, scope);
      case Expression.TupleOf(var items) -> new Tuple(values(items, scope));
      case Expression.DictOf(var keys, var fields) -> {
        var dict = new LinkedHashMap<Object, Object>();
        for (int i = 0; i < keys.size(); i++) {
          dict.put(value(keys.get(i), scope), value(fields.get(i), scope));
        }
        yield dict;
      }
      case Expression.Attribute(var of, var name) -> attribute(value(of, scope), name);
      case Expression.Item(var of, var index) -> Values.item(value(of, scope), value(index, scope));
      case Expression.Slice(var of, var from, var to, var step) ->
          Values.slice(
              value(of, scope), optional(from, scope), optional(to, scope), optional(step, scope));
      case Expression.Call(var function, var arguments) -> call(function, arguments, scope);
      case Expression.Filter(var of, var name, var arguments) ->
          Filters.apply(
              name,
              value(of, scope),
              values(arguments.positional(), scope),
              named(arguments, scope));
      case Expression.Test(var of, var name, var arguments) ->
          Tests.pass(name, value(of, scope), values(arguments.positional(), scope));
      case Expression.Not(var of) -> !Values.truth(value(of, scope));
      case Expression.Negative(var of) -> {
        var value = value(of, scope);
        yield value instanceof Double d ? (Object) (-d) : Math.negateExact(Values.integer(value));
      }
      case Expression.And(var left, var right) -> {
        var value = value(left, scope);
        yield Values.truth(value) ? value(right, scope) : value;
      }
      case Expression.Or(var left, var right) -> {
        var value = value(left, scope);
        yield Values.truth(value) ? value : value(right, scope);
      }
      case Expression.Binary(var operator, var left, var right) ->
          Arithmetic.of(operator, value(left, scope), value(right, scope));
      case Expression.Comparison comparison -> compare(comparison, scope);
      case Expression.Conditional(var condition, var then, var otherwise) ->
          Values.truth(value(condition, scope))
              ? value(then, scope)
              : otherwise == null
                  ? new Undefined("the other side of a condition")
                  : value(otherwise, scope);
    };
  }

  private static Object optional(Expression expression, Scope scope) {
    return expression == null ? null : value(expression, scope);
  }

  private static List<Object> values(List<Expression> expressions, Scope scope) {
    var values = new ArrayList<Object>(expressions.size());
    expressions.forEach(expression -> values.add(value(expression, scope)));
    return values;
  }

  private static Map<String, Object> named(Arguments arguments, Scope scope) {
    var named = new LinkedHashMap<String, Object>();
    arguments.named().forEach((name, expression) -> named.put(name, value(expression, scope)));
    return named;
  }

  /** {@code a.b}: as in Python, a method comes before a field of that name. */
  private static Object attribute(Object of, String name) {
    if (of instanceof Namespace(var fields)) {
      return fields.containsKey(name) ? fields.get(name) : new Undefined("'" + name + "'");
    }
    var method = Methods.of(of, name);
    return method == null ? Values.item(of, name) : method;
  }

  private static Object call(Expression function, Arguments arguments, Scope scope) {
    var called = value(function, scope);
    if (called instanceof Undefined u) {
      throw u.fault();
    }
    if (!(called instanceof Function f)) {
      throw new Fault("%s cannot be called", Values.type(called));
    }
    try {
      return f.call(values(arguments.positional(), scope), named(arguments, scope));
    } catch (NoSuchElementException | IndexOutOfBoundsException e) {
      throw new Fault("a call has too few arguments");
    }
  }

  private static boolean compare(Expression.Comparison comparison, Scope scope) {
    var left = value(comparison.operands().getFirst(), scope);
    for (int i = 0; i < comparison.operators().size(); i++) {
      var right = value(comparison.operands().get(i + 1), scope);
      if (!holds(comparison.operators().get(i), left, right)) {
        return false;
      }
      left = right;
    }
    return true;
  }

  private static boolean holds(String operator, Object left, Object right) {
    return switch (operator) {
      case "==" -> Values.equal(left, right);
      case "!=" -> !Values.equal(left, right);
      case "<" -> Values.compare(left, right) < 0;
      case "<=" -> Values.compare(left, right) <= 0;
      case ">" -> Values.compare(left, right) > 0;
      case ">=" -> Values.compare(left, right) >= 0;
      case "in" -> Values.contains(right, left);
      default -> !Values.contains(right, left);
    };
  }
}
