package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.data.Example;
import io.holdfast.data.ExampleReader;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** Looks at every row and keeps none: what is learnt, and what is wrong. */
final class RowCheck implements ExampleReader.Sink {
  private static final int TOLD = 20;

  private final int vocabulary;
  private final IntStream.Builder lengths = IntStream.builder();
  private final List<String> faults = new ArrayList<>();
  private Coverage coverage = Coverage.NONE;
  private long refused;

  /**
   * A check.
   *
   * @param vocabulary of the model: token ids are below it
   */
  RowCheck(int vocabulary) {
    this.vocabulary = vocabulary;
  }

  @Override
  public void accept(Example example) {
    for (int id : example.ids()) {
      if (id >= vocabulary) {
        refuse(
            example
                .place()
                .bad("token %d, but the model's vocabulary ends at %d", id, vocabulary - 1));
        return;
      }
    }
    lengths.add(example.length());
    coverage = coverage.plus(Coverage.of(example));
  }

  @Override
  public void refuse(HoldfastException error) {
    refused++;
    if (faults.size() < TOLD) {
      faults.add(error.getMessage());
    }
  }

  /**
   * What the rows teach.
   *
   * @param rows how many were read
   * @throws HoldfastException that names the first of those that are broken, if any is
   */
  Coverage coverage(long rows) {
    if (refused > 0) {
      throw HoldfastException.input(
          "%,d of %,d rows cannot be learnt from%n  %s%s",
          refused,
          rows,
          String.join(System.lineSeparator() + "  ", faults),
          refused > TOLD ? "%n  and %,d more".formatted(refused - TOLD) : "");
    }
    return coverage;
  }

  /** Tokens of each row. */
  int[] lengths() {
    return lengths.build().toArray();
  }
}
