package io.holdfast.text.jinja;

import java.util.List;

/** A statement of a template. */
sealed interface Node {
  record Text(String text) implements Node {}

  record Output(Expression value, int line) implements Node {}

  /** The branches in order; the last one's condition is null where there is an {@code else}. */
  record If(List<Branch> branches) implements Node {
    record Branch(Expression condition, List<Node> body, int line) {}
  }

  record For(
      List<String> targets,
      Expression over,
      Expression condition,
      List<Node> body,
      List<Node> otherwise,
      int line)
      implements Node {}

  /** {@code set a = ..}, {@code set a, b = ..}. */
  record Set(List<String> targets, Expression value, int line) implements Node {}

  /** {@code set namespace.field = ..}. */
  record SetField(String namespace, String field, Expression value, int line) implements Node {}

  /** {@code set a}..{@code endset}, with the filters it goes through. */
  record SetBlock(String target, Expression filtered, List<Node> body, int line) implements Node {}

  record Macro(String name, List<String> parameters, List<Expression> defaults, List<Node> body)
      implements Node {}

  /** {@code filter ..}; the body is the value of {@link #BODY}. */
  record FilterBlock(Expression filtered, List<Node> body, int line) implements Node {}

  /** What the assistant says. */
  record Generation(List<Node> body) implements Node {}

  record With(List<Set> sets, List<Node> body) implements Node {}

  record Break() implements Node {}

  record Continue() implements Node {}

  /** The name by which filters of a block see its text; no template can write it. */
  String BODY = "<body>";
}
