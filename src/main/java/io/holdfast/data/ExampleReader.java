package io.holdfast.data;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.text.Encoded;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * Files of rows as examples.
 *
 * @param rows how a row becomes tokens
 * @param lossOn which tokens are learnt; rows of plain text or tokens are learnt whole
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
   * @param dropped how many of those lost everything to learn and were left out
   */
  public record Result(List<Example> examples, int cut, int dropped) {}

  /**
   * All rows of all files.
   *
   * @throws HoldfastException for a broken row, a row with nothing to learn, or no rows at all
   */
  public Result read(List<Path> files) {
    var examples = new ArrayList<Example>();
    int cut = 0;
    int dropped = 0;
    for (var file : files) {
      try (var lines = Rows.open(file)) {
        while (lines.hasNext()) {
          var row = lines.next();
          var whole = example(row.json(), row.place());
          var example = whole.first(maxLength);
          cut += example == whole ? 0 : 1;
          if (example.supervised() == 0) {
            dropped++;
          } else {
            examples.add(example);
          }
        }
      }
    }
    if (examples.isEmpty()) {
      throw HoldfastException.input(
          "%s: no row to learn from%s",
          files.isEmpty() ? "data.train" : files.getFirst(),
          dropped > 0 ? "; max_length cuts every answer off, raise it" : ", the file is empty");
    }
    return new Result(List.copyOf(examples), cut, dropped);
  }

  /**
   * One training row at its whole length.
   *
   * @throws HoldfastException that names the place if the row is broken or has nothing to learn
   */
  public Example example(ObjectNode json, Place place) {
    var encoded = withoutSecondBos(rows.read(json, place));
    var example = example(json, place, encoded, targets(json, encoded), risk(json, place));
    if (example.supervised() == 0) {
      throw place.bad(
          "no token of this row is learnt (loss_on: %s). A conversation must end with an assistant"
              + " turn that says something; complete the row or leave it out.",
          lossOn.name().toLowerCase(Locale.ROOT));
    }
    return example;
  }

  /** Prompts without anything to learn, such as the anchors of a guard. */
  public List<Example> readPrompts(Path file) {
    var examples = new ArrayList<Example>();
    Rows.read(
        file,
        (json, place) -> {
          var prompt = json.deepCopy();
          if (prompt.has("messages")) {
            prompt.put("add_generation_prompt", true);
          }
          var encoded = rows.read(prompt, place);
          int length = encoded.ids().length;
          if (encoded.promptEnd() < 0 || length > maxLength) {
            throw place.bad(
                "a safety prompt must be messages that end with a user's turn, at most %d tokens",
                maxLength);
          }
          examples.add(example(json, place, encoded, new boolean[length], Float.NaN));
        });
    if (examples.isEmpty()) {
      throw HoldfastException.input("%s: the file is empty", file);
    }
    return examples;
  }

  private static Example example(
      ObjectNode json, Place place, Encoded encoded, boolean[] target, float risk) {
    return new Example(
        json.path("id").asText(place.toString()),
        encoded.ids(),
        target,
        encoded.instructionEnd(),
        encoded.promptEnd(),
        risk,
        place);
  }

  private boolean[] targets(ObjectNode json, Encoded encoded) {
    boolean conversation = encoded.promptEnd() >= 0;
    var target = new boolean[encoded.ids().length];
    for (int i = 1; i < target.length; i++) {
      target[i] =
          switch (lossOn) {
            case ALL -> true;
            case ASSISTANT -> !conversation || encoded.assistant()[i];
            case COMPLETION -> !conversation || encoded.assistant()[i] && i > encoded.promptEnd();
          };
    }
    return target;
  }

  /** Text that was written with its first special token must not get it a second time. */
  private Encoded withoutSecondBos(Encoded encoded) {
    int[] ids = encoded.ids();
    var bos = rows.tokenizer().tokenizer().bosId();
    if (bos.isEmpty() || ids.length < 2 || ids[0] != bos.getAsInt() || ids[1] != ids[0]) {
      return encoded;
    }
    return new Encoded(
        Arrays.copyOfRange(ids, 1, ids.length),
        encoded.text(),
        Arrays.copyOfRange(encoded.assistant(), 1, ids.length),
        Math.max(-1, encoded.instructionEnd() - 1),
        Math.max(-1, encoded.promptEnd() - 1));
  }

  private float risk(ObjectNode json, Place place) {
    if (riskColumn.isEmpty()) {
      return Float.NaN;
    }
    var risk = new Fields(json, place).number(riskColumn.get());
    if (risk.isEmpty() || !(risk.getAsDouble() >= 0 && risk.getAsDouble() <= 1)) {
      throw place.bad(
          "the field '%s' must be a risk between 0 and 1, it is %s",
          riskColumn.get(), json.has(riskColumn.get()) ? json.get(riskColumn.get()) : "missing");
    }
    return (float) risk.getAsDouble();
  }
}
