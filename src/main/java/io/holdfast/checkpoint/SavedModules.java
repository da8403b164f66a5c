package io.holdfast.checkpoint;

import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/**
 * Modules that are trained in full beside an adapter and kept with it: PEFT's {@code
 * modules_to_save}.
 *
 * @param names ends of module names. As in PEFT they need not be whole parts: {@code norm} means
 *     {@code input_layernorm}, too, and {@code model.norm} the last norm alone.
 * @param tied whether a head that is tied to the embedding stays so when one of them is named;
 *     otherwise the two part
 */
public record SavedModules(List<String> names, boolean tied) {
  /** No module. */
  public static final SavedModules NONE = new SavedModules(List.of(), false);

  /** The names of the embedding and the head that may be tied. */
  private static final List<String> EMBEDDINGS = List.of("embed_tokens", "lm_head");

  /** Names that are also regular expressions, as PEFT takes them when it keeps LoRA away. */
  public SavedModules {
    names = List.copyOf(names);
    names.forEach(
        name -> {
          if (name.isEmpty()) {
            throw new IllegalArgumentException("an empty name would mean every module");
          }
          ModuleNames.compile(name);
        });
  }

  /** Whether a weight, such as {@code model.norm.weight}, belongs to one of the modules. */
  public boolean select(String weight) {
    var parts = List.of(weight.split("\\."));
    return IntStream.range(1, parts.size())
        .mapToObj(end -> String.join(".", parts.subList(0, end)))
        .anyMatch(module -> names.stream().anyMatch(module::endsWith));
  }

  /** Whether an adapter's file may hold this weight, on a tied model or another. */
  boolean mayHold(String weight) {
    return select(weight)
        || keepsTie() && EMBEDDINGS.stream().anyMatch(name -> weight.endsWith(name + ".weight"));
  }

  /** Whether no low-rank update is put on this module, which is saved or part of what is. */
  boolean keepsAway(String module) {
    return names.stream()
        .anyMatch(
            name -> Pattern.compile("(^|.*\\.)" + name + "($|\\..*)").matcher(module).lookingAt());
  }

  /** Whether embedding and head are trained as the one weight that they are in a tied model. */
  public boolean keepsTie() {
    return tied
        && names.stream()
            .anyMatch(name -> EMBEDDINGS.contains(name.substring(name.lastIndexOf('.') + 1)));
  }
}
