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
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.stream.Gatherers;
import java.util.stream.StreamSupport;

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
    /** The last assistant turn from the end of the prompt for it, its end of turn included. */
    COMPLETION,
    /** Every assistant turn. */
    ASSISTANT,
    /** Every token. */
    ALL
  }

  /** Rows that are encoded together by one of the threads. */
  private static final int CHUNK = 16;

  /**
   * What was read.
   *
   * @param examples that have something to learn
   * @param cut how many were longer than the limit
   * @param dropped how many of those lost everything to learn and were left out
   */
  public record Result(List<Example> examples, int cut, int dropped) {}

  /** Where examples go. */
  @FunctionalInterface
  public interface Sink {
    /** Takes the next example. */
    void accept(Example example);

    /** Hears of a row that is no example; unless it is willing to go on, it throws. */
    default void refuse(HoldfastException error) {
      throw error;
    }
  }

  /**
   * All rows of all files, kept in memory.
   *
   * @throws HoldfastException for a broken row, a row with nothing to learn, or no rows at all
   */
  public Result read(List<Path> files) {
    var examples = new ArrayList<Example>();
    var counts = read(files, Long.MAX_VALUE, examples::add);
    return some(new Result(List.copyOf(examples), counts.cut(), counts.dropped()), files);
  }

  /**
   * All rows of all files, kept in a file that is mapped.
   *
   * @param kept the file, which is made unless it holds these examples already
   * @param key names everything the examples depend on
   * @throws HoldfastException as {@link #read(List)}
   */
  public Result read(List<Path> files, Path kept, String key) {
    var examples = Examples.of(kept, key, sink -> read(files, Long.MAX_VALUE, sink));
    var counts = examples.counts();
    return some(new Result(examples, counts.cut(), counts.dropped()), files);
  }

  private static Result some(Result result, List<Path> files) {
    if (result.examples().isEmpty()) {
      throw HoldfastException.input(
          "%s: no row to learn from%s",
          files.isEmpty() ? "data.train" : files.getFirst(),
          result.dropped() > 0
              ? "; max_length cuts every answer off, raise it"
              : ", the file is empty");
    }
    return result;
  }

  /**
   * Hands over the examples of all files in their order, encoded on all cores.
   *
   * @param limit rows that are read at most
   */
  public Examples.Counts read(List<Path> files, long limit, Sink sink) {
    var tally = new Tally(maxLength, sink);
    int cores = Runtime.getRuntime().availableProcessors();
    try (var stream = new RowStream(files)) {
      StreamSupport.stream(Spliterators.spliteratorUnknownSize(stream, Spliterator.ORDERED), false)
          .limit(limit)
          .gather(Gatherers.windowFixed(CHUNK))
          .gather(
              Gatherers.mapConcurrent(
                  2 * cores, chunk -> chunk.stream().map(this::outcome).toList()))
          .flatMap(List::stream)
          .forEachOrdered(tally::add);
    }
    return new Examples.Counts(tally.rows, tally.cut, tally.dropped);
  }

  /** A row's example at its whole length, or why there is none. */
  private record Outcome(Example whole, HoldfastException error) {}

  private Outcome outcome(RowStream.Element element) {
    if (element.broken() != null) {
      return new Outcome(null, element.broken());
    }
    try {
      return new Outcome(example(element.row().json(), element.row().place()), null);
    } catch (HoldfastException e) {
      return new Outcome(null, e);
    }
  }

  /** Cuts, counts and hands over. */
  private static final class Tally {
    private final int maxLength;
    private final Sink sink;
    private long rows;
    private int cut;
    private int dropped;

    Tally(int maxLength, Sink sink) {
      this.maxLength = maxLength;
      this.sink = sink;
    }

    void add(Outcome outcome) {
      rows++;
      if (outcome.error() != null) {
        sink.refuse(outcome.error());
        return;
      }
      var example = outcome.whole().first(maxLength);
      cut += example == outcome.whole() ? 0 : 1;
      if (example.supervised() == 0) {
        dropped++;
      } else {
        sink.accept(example);
      }
    }
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
