package io.holdfast.checkpoint;

import java.util.List;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/** A set of modules, in the three ways PEFT has to name one. */
public sealed interface ModuleNames {
  /** Whether the module of this full name, such as {@code model.layers.0.mlp.up_proj}, is meant. */
  boolean select(String module);

  /**
   * Modules by their last name parts: {@code q_proj} means {@code model.layers.0.self_attn.q_proj}
   * and every other {@code q_proj}.
   */
  record Listed(List<String> names) implements ModuleNames {
    /** At least one name. */
    public Listed {
      names = List.copyOf(names);
      if (names.isEmpty()) {
        throw new IllegalArgumentException("it must name at least one module");
      }
    }

    @Override
    public boolean select(String module) {
      return names.stream().anyMatch(name -> module.equals(name) || module.endsWith("." + name));
    }

    @Override
    public String toString() {
      return names.toString();
    }
  }

  /** Every linear module but the output head. */
  record AllLinear() implements ModuleNames {
    /** How it is written. */
    public static final String WORD = "all-linear";

    @Override
    public boolean select(String module) {
      return !module.equals("lm_head");
    }

    @Override
    public String toString() {
      return WORD;
    }
  }

  /** Modules whose whole name matches a regular expression. */
  record Matching(String expression) implements ModuleNames {
    /** A valid expression. */
    public Matching {
      compile(expression);
    }

    @Override
    public boolean select(String module) {
      return Pattern.matches(expression, module);
    }

    @Override
    public String toString() {
      return expression;
    }
  }

  /** Modules by their last name parts. */
  static ModuleNames listed(String... names) {
    return new Listed(List.of(names));
  }

  /**
   * The pattern of an expression.
   *
   * @throws IllegalArgumentException that says what is wrong with it
   */
  static Pattern compile(String expression) {
    try {
      return Pattern.compile(expression);
    } catch (PatternSyntaxException e) {
      throw new IllegalArgumentException(
          "'%s' is not a regular expression: %s".formatted(expression, e.getDescription()), e);
    }
  }
}
