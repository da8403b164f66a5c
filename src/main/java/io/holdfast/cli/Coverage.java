package io.holdfast.cli;

import io.holdfast.data.Example;
import java.util.List;

/**
 * How much of the tokens is learnt.
 *
 * @param rows of the data
 * @param tokens of all rows
 * @param supervised tokens that are learnt
 * @param longest row in tokens
 */
record Coverage(int rows, long tokens, long supervised, int longest) {
  static final Coverage NONE = new Coverage(0, 0, 0, 0);

  static Coverage of(List<Example> examples) {
    return examples.stream().map(Coverage::of).reduce(NONE, Coverage::plus);
  }

  static Coverage of(Example example) {
    return new Coverage(1, example.length(), supervised(example), example.length());
  }

  /** How many tokens of a row are learnt. */
  static int supervised(Example example) {
    int count = 0;
    for (boolean learnt : example.target()) {
      count += learnt ? 1 : 0;
    }
    return count;
  }

  Coverage plus(Coverage other) {
    return new Coverage(
        rows + other.rows,
        tokens + other.tokens,
        supervised + other.supervised,
        Math.max(longest, other.longest));
  }

  @Override
  public String toString() {
    return "%,d of %,d tokens (%.1f %%), %.1f of %.1f a row, longest row %,d"
        .formatted(
            supervised,
            tokens,
            100.0 * supervised / tokens,
            (double) supervised / rows,
            (double) tokens / rows,
            longest);
  }
}
