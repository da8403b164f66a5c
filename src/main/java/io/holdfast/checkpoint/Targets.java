package io.holdfast.checkpoint;

import java.util.Optional;

/**
 * Which linear modules of a model an adapter changes, by PEFT's rules.
 *
 * @param names those that are asked for
 * @param excluded those that are left as they are all the same
 * @param layers where the names are looked for; everywhere if not given. A full name in the list of
 *     names is meant in whatever layer it lies.
 */
public record Targets(ModuleNames names, Optional<ModuleNames> excluded, Optional<Layers> layers) {
  /** PEFT's restrictions. */
  public Targets {
    if (layers.isPresent() && !(names instanceof ModuleNames.Listed)) {
      throw new IllegalArgumentException(
          "they can be chosen only for modules listed by name, not for " + names);
    }
  }

  /** The modules of these names, wherever they are. */
  public static Targets of(ModuleNames names) {
    return new Targets(names, Optional.empty(), Optional.empty());
  }

  /** Whether the adapter changes the linear module of this full name. */
  public boolean select(String module) {
    if (!names.select(module) || excluded.filter(some -> some.select(module)).isPresent()) {
      return false;
    }
    boolean literal = names instanceof ModuleNames.Listed listed && listed.names().contains(module);
    return literal || layers.isEmpty() || layers.get().hold(module);
  }
}
