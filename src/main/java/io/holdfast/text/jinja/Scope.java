package io.holdfast.text.jinja;

import java.util.Map;

/** Names and their values; loops, macros and blocks have their own, conditions have not. */
record Scope(Scope outer, Map<String, Object> values) {
  Object get(String name) {
    for (var scope = this; scope != null; scope = scope.outer) {
      if (scope.values.containsKey(name)) {
        return scope.values.get(name);
      }
    }
    return new Undefined("'" + name + "'");
  }

  void set(String name, Object value) {
    values.put(name, value);
  }
}
