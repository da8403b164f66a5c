package io.holdfast.text.jinja;

import java.time.Clock;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A parsed template. Safe to use from several threads. */
public final class Template {
  private static final long MAX_RANGE = 100_000;

  private final List<Node> nodes;
  private final boolean marks;

  /**
   * A template of these statements.
   *
   * @param marks whether any of them says what is generated
   */
  Template(List<Node> nodes, boolean marks) {
    this.nodes = nodes;
    this.marks = marks;
  }

  /**
   * Parses a template.
   *
   * @throws Fault if it is broken or has a tag that is not known
   */
  public static Template parse(String source) {
    return Parser.parse(source);
  }

  /**
   * Renders with variables in Java's plain types.
   *
   * @param clock whose time {@code strftime_now} tells
   * @throws Refusal if the template calls {@code raise_exception}
   * @throws Fault if it fails on these variables, or uses a filter or test that is not known
   */
  public Rendered render(Map<String, ?> variables, Clock clock) {
    var scope = new Scope(new Scope(null, globals(clock)), new LinkedHashMap<>());
    variables.forEach((name, value) -> scope.set(name, Values.of(value)));
    var interpreter = new Interpreter(scope);
    try {
      interpreter.run(nodes);
    } catch (StackOverflowError e) {
      throw new Fault("the template calls itself without end");
    }
    return interpreter.rendered(marks);
  }

  private static Map<String, Object> globals(Clock clock) {
    return Map.of(
        "raise_exception",
        (Function)
            (p, n) -> {
              throw new Refusal(Values.text(Methods.argument(p, 0, n.get("message"))));
            },
        "strftime_now",
        (Function) (p, n) -> Time.strftime(Values.string(p.getFirst()), LocalDateTime.now(clock)),
        "namespace",
        (Function) (p, n) -> new Namespace(fields(p, n)),
        "dict",
        (Function) (p, n) -> fields(p, n),
        "range",
        (Function) (p, n) -> range(p));
  }

  private static Map<Object, Object> fields(List<Object> positional, Map<String, Object> named) {
    var fields = new LinkedHashMap<Object, Object>();
    if (!positional.isEmpty() && positional.getFirst() instanceof Map<?, ?> first) {
      fields.putAll(first);
    }
    fields.putAll(named);
    return fields;
  }

  private static List<Object> range(List<Object> p) {
    long from = p.size() > 1 ? Values.integer(p.get(0)) : 0;
    long to = Values.integer(p.get(p.size() > 1 ? 1 : 0));
    long step = p.size() > 2 ? Values.integer(p.get(2)) : 1;
    if (step == 0 || Math.abs((to - from) / step) > MAX_RANGE) {
      throw new Fault("range has no more than %d items", MAX_RANGE);
    }
    var range = new ArrayList<Object>();
    for (long i = from; step > 0 ? i < to : i > to; i += step) {
      range.add(i);
    }
    return range;
  }
}
