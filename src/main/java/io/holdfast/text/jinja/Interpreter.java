package io.holdfast.text.jinja;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Runs statements and collects what they write. One for each rendering. */
final class Interpreter {
  /** How a run of statements ended. */
  private enum Flow {
    NEXT,
    BREAK,
    CONTINUE
  }

  private final List<Span> generated = new ArrayList<>();
  private StringBuilder out = new StringBuilder();
  private int captures;
  private Scope scope;

  Interpreter(Scope scope) {
    this.scope = scope;
  }

  Rendered rendered(boolean marks) {
    return new Rendered(
        out.toString(), marks ? Optional.of(List.copyOf(generated)) : Optional.empty());
  }

  void run(List<Node> nodes) {
    flow(nodes);
  }

  private Flow flow(List<Node> nodes) {
    for (var node : nodes) {
      var flow = one(node);
      if (flow != Flow.NEXT) {
        return flow;
      }
    }
    return Flow.NEXT;
  }

  private Flow one(Node node) {
    switch (node) {
      case Node.Text(var text) -> out.append(text);
      case Node.Output(var value, int line) -> out.append(Values.text(value(value, line)));
      case Node.If(var branches) -> {
        for (var branch : branches) {
          if (branch.condition() == null
              || Values.truth(value(branch.condition(), branch.line()))) {
            return flow(branch.body());
          }
        }
      }
      case Node.For loop -> loop(loop);
      case Node.Set(var targets, var value, int line) -> assign(targets, value(value, line), line);
      case Node.SetField(var namespace, var field, var value, int line) -> {
        if (!(scope.get(namespace) instanceof Namespace(var fields))) {
          throw new Fault("line %d: only fields of a namespace can be set", line);
        }
        fields.put(field, value(value, line));
      }
      case Node.SetBlock(var target, var filtered, var body, int line) ->
          scope.set(target, filtered(filtered, body, line));
      case Node.FilterBlock(var filtered, var body, int line) ->
          out.append(Values.text(filtered(filtered, body, line)));
      case Node.Macro macro -> scope.set(macro.name(), macro(macro, scope));
      case Node.Generation(var body) -> {
        int from = length();
        var flow = inner(Map.of(), body);
        if (captures == 0) {
          generated.add(new Span(from, length()));
        }
        return flow;
      }
      case Node.With(var sets, var body) -> {
        var values = new LinkedHashMap<String, Object>();
        for (var set : sets) {
          values.put(set.targets().getFirst(), value(set.value(), set.line()));
        }
        return inner(values, body);
      }
      case Node.Break() -> {
        return Flow.BREAK;
      }
      case Node.Continue() -> {
        return Flow.CONTINUE;
      }
    }
    return Flow.NEXT;
  }

  private Object value(Expression expression, int line) {
    try {
      return Evaluator.value(expression, scope);
    } catch (Fault e) {
      throw e.at(line);
    }
  }

  private int length() {
    return out.codePointCount(0, out.length());
  }

  private Flow inner(Map<String, Object> values, List<Node> body) {
    var outer = scope;
    scope = new Scope(outer, new LinkedHashMap<>(values));
    try {
      return flow(body);
    } finally {
      scope = outer;
    }
  }

  private String captured(Map<String, Object> values, List<Node> body) {
    var outer = out;
    out = new StringBuilder();
    captures++;
    try {
      inner(values, body);
      return out.toString();
    } finally {
      out = outer;
      captures--;
    }
  }

  private Object filtered(Expression filtered, List<Node> body, int line) {
    var outer = scope;
    var text = captured(Map.of(), body);
    scope = new Scope(outer, Map.of(Node.BODY, text));
    try {
      return value(filtered, line);
    } finally {
      scope = outer;
    }
  }

  private void assign(List<String> targets, Object value, int line) {
    if (targets.size() == 1) {
      scope.set(targets.getFirst(), value);
      return;
    }
    var items = Values.iterable(value);
    if (items.size() != targets.size()) {
      throw new Fault("line %d: %d values for %d names", line, items.size(), targets.size());
    }
    for (int i = 0; i < items.size(); i++) {
      scope.set(targets.get(i), items.get(i));
    }
  }

  private void loop(Node.For loop) {
    var outer = scope;
    try {
      var items = items(loop, outer);
      for (int i = 0; i < items.size(); i++) {
        scope = new Scope(outer, new LinkedHashMap<>());
        scope.set("loop", state(items, i));
        assign(loop.targets(), items.get(i), loop.line());
        if (flow(loop.body()) == Flow.BREAK) {
          return;
        }
      }
      if (items.isEmpty()) {
        scope = new Scope(outer, new LinkedHashMap<>());
        flow(loop.otherwise());
      }
    } catch (Fault e) {
      throw e.at(loop.line());
    } finally {
      scope = outer;
    }
  }

  private List<Object> items(Node.For loop, Scope outer) {
    var items = Values.iterable(value(loop.over(), loop.line()));
    if (loop.condition() == null) {
      return items;
    }
    var kept = new ArrayList<Object>();
    for (var item : items) {
      scope = new Scope(outer, new LinkedHashMap<>());
      assign(loop.targets(), item, loop.line());
      if (Values.truth(value(loop.condition(), loop.line()))) {
        kept.add(item);
      }
    }
    return kept;
  }

  private static Map<Object, Object> state(List<Object> items, int i) {
    var state = new LinkedHashMap<Object, Object>();
    int n = items.size();
    state.put("index", i + 1L);
    state.put("index0", (long) i);
    state.put("revindex", (long) n - i);
    state.put("revindex0", n - i - 1L);
    state.put("first", i == 0);
    state.put("last", i == n - 1);
    state.put("length", (long) n);
    if (i > 0) {
      state.put("previtem", items.get(i - 1));
    }
    if (i < n - 1) {
      state.put("nextitem", items.get(i + 1));
    }
    state.put("cycle", (Function) (p, named) -> p.get(i % p.size()));
    return state;
  }

  private Function macro(Node.Macro macro, Scope home) {
    return (positional, named) -> {
      var values = new LinkedHashMap<String, Object>();
      var caller = scope;
      scope = new Scope(home, values);
      try {
        for (int i = 0; i < macro.parameters().size(); i++) {
          var name = macro.parameters().get(i);
          var otherwise = macro.defaults().get(i);
          values.put(
              name,
              i < positional.size()
                  ? positional.get(i)
                  : named.containsKey(name)
                      ? named.get(name)
                      : otherwise == null
                          ? new Undefined("parameter '" + name + "'")
                          : Evaluator.value(otherwise, scope));
        }
        return captured(Map.of(), macro.body());
      } finally {
        scope = caller;
      }
    };
  }
}
