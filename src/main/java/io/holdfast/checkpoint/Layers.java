package io.holdfast.checkpoint;

import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Some of a model's layers, by their index in its list of blocks.
 *
 * @param indices from 0
 * @param lists names of the lists that are counted, such as {@code layers}; regular expressions,
 *     the first that occurs in a name counts; where there are none, the first number in a name does
 */
public record Layers(List<Integer> indices, List<String> lists) {
  /** The first numbered part below two others, as in {@code model.layers.3.mlp}. */
  private static final Pattern FIRST_NUMBER = Pattern.compile(".*?\\.[^.]*\\.(\\d+)\\.");

  /** At least one index. */
  public Layers {
    indices = List.copyOf(indices);
    lists = List.copyOf(lists);
    if (indices.isEmpty()) {
      throw new IllegalArgumentException("it must hold at least one layer");
    }
    lists.forEach(ModuleNames::compile);
  }

  /** Whether a module lies in one of the layers. */
  boolean hold(String module) {
    var patterns =
        lists.isEmpty()
            ? Stream.of(FIRST_NUMBER)
            : lists.stream().map(list -> Pattern.compile("(?:^|.*?\\.)" + list + "\\.(\\d+)\\."));
    return patterns
        .map(pattern -> pattern.matcher(module))
        .filter(Matcher::lookingAt)
        .findFirst()
        .map(found -> indices.contains(Integer.parseInt(found.group(found.groupCount()))))
        .orElse(false);
  }
}
