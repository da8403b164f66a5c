package io.holdfast.data;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.text.Encoded;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Files of rows as examples.
 *
 * @param rows how a row becomes tokens
 * @param lossOn which tokens are learnt
 * @param maxLength longer rows are cut on the right
 * @param riskColumn field with a recorded risk, if any is needed
 */
public record ExampleReader(
    RowReader rows, LossOn lossOn, int maxLength, Optional<String> riskColumn) {
  /** Which tokens are learnt. */
  public enum LossOn {
    /** The last assistant turn, its end of turn included. */
    COMPLETION,
    /** Every assistant turn. */
    ASSISTANT,
    /** Every token. */
    ALL
  }

  /**
   * What was read.
   *
   * @param examples that have something to learn
   * @param cut how many were longer than the limit
   * @param dropped how many lost everything to learn when they were cut
   */
  public record Result(List<Example> examples, int cut, int dropped) {}

  /**
   * All rows of all files.
   *
   * @throws HoldfastException for a broken row, a row with nothing to learn, or no rows at all
   */
  public Result read(List<Path> files) {
    var examples = new ArrayList<Example>();
    var counts = new int[2];
    for (var file : files) {
      JsonLines.read(file, (row, place) -> add(row, place, examples, counts));
    }
    if (examples.isEmpty()) {
      throw HoldfastException.input(
          "%s: no row to learn from%s",
          files.getFirst(),
          counts[1] > 0 ? "; max_length cuts every answer off, raise it" : ", the file is empty");
    }
    return new Result(examples, counts[0], counts[1]);
  }

  private void add(ObjectNode row, Place place, List<Example> examples, int[] counts) {
    var encoded = rows.read(row, place);
    var target = targets(row, encoded);
    if (!any(target, target.length)) {
      throw HoldfastException.input(
          "%s: nothing in this row is learnt (loss_on: %s). Add an answer, or leave it out.",
          place, lossOn.name().toLowerCase(java.util.Locale.ROOT));
    }
    int length = Math.min(maxLength, target.length);
    if (length < target.length) {
      counts[0]++;
      if (!any(target, length)) {
        counts[1]++;
        return;
      }
    }
    examples.add(
        new Example(
            row.path("id").asText(place.toString()),
            Arrays.copyOf(encoded.ids(), length),
            Arrays.copyOf(target, length),
            encoded.instructionEnd(),
            encoded.promptEnd(),
            risk(row, place),
            place));
  }

  /** Prompts without anything to learn, such as the anchors of a guard. */
  public List<Example> readPrompts(Path file) {
    var examples = new ArrayList<Example>();
    JsonLines.read(
        file,
        (row, place) -> {
          var copy = row.deepCopy();
          if (copy.has("messages")) {
            copy.put("add_generation_prompt", true);
          }
          var encoded = rows.read(copy, place);
          if (encoded.promptEnd() < 0 || encoded.ids().length > maxLength) {
            throw HoldfastException.input(
                "%s: a safety prompt must be messages that end with a user's turn, at most %d"
                    + " tokens",
                place, maxLength);
          }
          examples.add(
              new Example(
                  row.path("id").asText(place.toString()),
                  encoded.ids(),
                  new boolean[encoded.ids().length],
                  encoded.instructionEnd(),
                  encoded.promptEnd(),
                  Float.NaN,
                  place));
        });
    if (examples.isEmpty()) {
      throw HoldfastException.input("%s: the file is empty", file);
    }
    return examples;
  }

  private boolean[] targets(ObjectNode row, Encoded encoded) {
    int length = encoded.ids().length;
    var target = new boolean[length];
    boolean everything = row.has("text") || row.has("tokens") || lossOn == LossOn.ALL;
    for (int i = 1; i < length; i++) {
      target[i] =
          everything
              || (encoded.assistant()[i]
                  && (lossOn == LossOn.ASSISTANT || i > encoded.promptEnd()));
    }
    return target;
  }

  private static boolean any(boolean[] flags, int length) {
    for (int i = 0; i < length; i++) {
      if (flags[i]) {
        return true;
      }
    }
    return false;
  }

  private float risk(ObjectNode row, Place place) {
    if (riskColumn.isEmpty()) {
      return Float.NaN;
    }
    var value = row.path(riskColumn.get());
    if (!value.isNumber() || !(value.asDouble() >= 0 && value.asDouble() <= 1)) {
      throw HoldfastException.input(
          "%s: the field %s must be a risk between 0 and 1, it is %s",
          place, riskColumn.get(), value.isMissingNode() ? "missing" : value);
    }
    return (float) value.asDouble();
  }
}
