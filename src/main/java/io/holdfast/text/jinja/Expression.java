package io.holdfast.text.jinja;

import java.util.List;
import java.util.Map;

/** An expression. */
sealed interface Expression {
  record Literal(Object value) implements Expression {}

  record Name(String name) implements Expression {}

  record ListOf(List<Expression> items) implements Expression {}

  record TupleOf(List<Expression> items) implements Expression {}

  record DictOf(List<Expression> keys, List<Expression> values) implements Expression {}

  /** {@code a.b}. */
  record Attribute(Expression of, String name) implements Expression {}

  /** {@code a[b]}. */
  record Item(Expression of, Expression index) implements Expression {}

  /** {@code a[from:to:step]}; null where a part is left out. */
  record Slice(Expression of, Expression from, Expression to, Expression step)
      implements Expression {}

  record Call(Expression function, Arguments arguments) implements Expression {}

  record Filter(Expression of, String name, Arguments arguments) implements Expression {}

  record Test(Expression of, String name, Arguments arguments) implements Expression {}

  record Not(Expression of) implements Expression {}

  record Negative(Expression of) implements Expression {}

  record And(Expression left, Expression right) implements Expression {}

  record Or(Expression left, Expression right) implements Expression {}

  /** Arithmetic and {@code ~}. */
  record Binary(String operator, Expression left, Expression right) implements Expression {}

  /** {@code a < b <= c}: operators between operands, {@code in} and {@code not in} among them. */
  record Comparison(List<String> operators, List<Expression> operands) implements Expression {}

  /** {@code a if condition else b}; {@code otherwise} is null where it is left out. */
  record Conditional(Expression condition, Expression then, Expression otherwise)
      implements Expression {}

  /** Arguments of a call, filter or test. */
  record Arguments(List<Expression> positional, Map<String, Expression> named) {
    static final Arguments NONE = new Arguments(List.of(), Map.of());
  }
}
