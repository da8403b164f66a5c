package io.holdfast.cli;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import io.holdfast.HoldfastException;
import io.holdfast.data.Place;
import io.holdfast.data.RowReader;
import io.holdfast.eval.Prompt;
import io.holdfast.text.Row;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * What two models are compared on.
 *
 * @param source where the sequences are from
 * @param sequences token ids
 * @param prompts the conversations among them, up to the last user turn
 */
record Probes(String source, List<int[]> sequences, List<Prompt> prompts) {
  private static final List<String> TEXTS =
      List.of(
          "The tide turns twice a day; the holdfast keeps the kelp where it is.",
          "Dear Ms. Lindgren,\n\nthank you for your letter of 3 May. The invoice is attached.",
          "def mean(values):\n    return sum(values) / len(values)\n",
          "{\"city\": \"Lisbon\", \"population\": 545796, \"coastal\": true}",
          "17 * 23 = 391, and 391 / 17 = 23.",
          "Ein Schiff liegt im Hafen. Un bateau est au port. 港に船がある。",
          "Q: Which planet is closest to the sun?\nA: Mercury.",
          "a b c d e f g 1 2 3 4 5 6 7 !?.,;:");

  private static final int RANDOM_ROWS = 8;
  private static final int RANDOM_LENGTH = 32;

  /** The rows of a file. */
  static Probes read(Path file, Path model, int vocabulary) {
    try (var sequences = new Sequences(() -> InputOption.stream(file), model, vocabulary);
        var ids = sequences.stream();
        var rows = InputOption.stream(file)) {
      var all = ids.map(Sequences.Sequence::ids).toList();
      if (all.isEmpty()) {
        throw HoldfastException.input("%s: there is no row to compare the models on", file);
      }
      var prompts =
          rows.filter(row -> !row.content().hasNonNull("tokens"))
              .flatMap(row -> prompt(row, new RowReader(sequences.chat())).stream())
              .toList();
      return new Probes(file.toString(), all, prompts);
    }
  }

  /** Short texts of several kinds; random ids where the model has no tokenizer. */
  static Probes builtIn(Path model, int vocabulary, boolean tokenizer) {
    if (!tokenizer) {
      var random = new SplittableRandom(1);
      return new Probes(
          "random ids",
          IntStream.range(0, RANDOM_ROWS)
              .mapToObj(i -> random.ints(RANDOM_LENGTH, 0, vocabulary).toArray())
              .toList(),
          List.of());
    }
    try (var sequences = new Sequences(() -> TEXTS.stream().map(Probes::row), model, vocabulary);
        var all = sequences.stream()) {
      var ids = all.map(Sequences.Sequence::ids).toList();
      return new Probes("built-in texts", ids, List.of());
    }
  }

  private static InputOption.Row row(String text) {
    var content = JsonNodeFactory.instance.objectNode().put("text", text);
    return new InputOption.Row(content, new Place(Path.of("built-in texts"), 1));
  }

  /** A conversation's turns up to the last of the user's. */
  private static Optional<Prompt> prompt(InputOption.Row row, RowReader reader) {
    if (!(reader.row(row.content(), row.place()) instanceof Row.Chat chat)) {
      return Optional.empty();
    }
    var turns = new ArrayList<Prompt.Turn>();
    chat.messages().forEach(m -> turns.add(new Prompt.Turn(m.role(), m.content())));
    while (!turns.isEmpty() && !turns.getLast().role().equals("user")) {
      turns.removeLast();
    }
    return turns.isEmpty()
        ? Optional.empty()
        : Optional.of(new Prompt(row.id().asText(), List.copyOf(turns)));
  }
}
