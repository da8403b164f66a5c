package io.holdfast.checkpoint;

import java.util.List;
import java.util.regex.Pattern;

/** Which linear modules of a model an adapter changes, in the three ways PEFT has to say it. */
public sealed interface Targets {
  /** Whether the adapter changes the linear module of this full name. */
  boolean selects(String module);

  /**
   * Modules by their last name parts: {@code q_proj} selects {@code
   * model.layers.0.self_attn.q_proj}.
   */
  record Named(List<String> names) implements Targets {
    /** At least one name. */
    public Named {
      names = List.copyOf(names);
      if (names.isEmpty()) {
        throw new IllegalArgumentException("an adapter without a target");
      }
    }

    @Override
    public boolean selects(String module) {
      return names.stream().anyMatch(name -> module.equals(name) || module.endsWith("." + name));
    }
  }

  /** Every linear module but the output head ({@code "all-linear"}). */
  record AllLinear() implements Targets {
    @Override
    public boolean selects(String module) {
      return !module.equals("lm_head");
    }
  }

  /** Modules whose whole name matches a regular expression. */
  record Matching(Pattern pattern) implements Targets {
    @Override
    public boolean selects(String module) {
      return pattern.matcher(module).matches();
    }
  }

  /** Modules by their last name parts. */
  static Targets named(String... names) {
    return new Named(List.of(names));
  }
}
