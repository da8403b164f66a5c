package io.holdfast.cli;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.HoldfastException;
import io.holdfast.data.Place;
import io.holdfast.data.RowReader;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.text.Encoded;
import io.holdfast.text.Row;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * Rows as ids that the model has. They are read twice, once to check them all before the work
 * begins and once for the work itself, so that a file may be larger than memory.
 */
final class Sequences implements AutoCloseable {
  private final Supplier<Stream<InputOption.Row>> rows;
  private final Path folder;
  private final int vocabulary;
  private ChatTokenizer chat;

  /**
   * Sequences of rows.
   *
   * @param rows opens them anew
   * @param folder of the model, whose tokenizer is read when a row needs it
   * @param vocabulary ids must be smaller
   */
  Sequences(Supplier<Stream<InputOption.Row>> rows, Path folder, int vocabulary) {
    this.rows = rows;
    this.folder = folder;
    this.vocabulary = vocabulary;
  }

  /** A row's id, its place in the file and its tokens. */
  record Sequence(JsonNode id, Place place, Encoded encoded) {
    int[] ids() {
      return encoded.ids();
    }

    /** The id as the name of a tensor. */
    String name() {
      return id.isTextual() ? id.textValue() : id.toString();
    }
  }

  /** The rows in order; to be closed. */
  Stream<Sequence> stream() {
    return rows.get().map(this::sequence);
  }

  /**
   * Reads all rows once.
   *
   * @param each may check them further
   * @return how many there are
   * @throws HoldfastException that names the first row which is no sequence of the model's tokens
   */
  int check(Consumer<Sequence> each) {
    try (var all = stream()) {
      return Math.toIntExact(all.peek(each).mapToInt(row -> 1).summaryStatistics().getCount());
    }
  }

  /** The model's tokenizer. */
  ChatTokenizer chat() {
    if (chat == null) {
      chat = ChatTokenizer.load(folder);
    }
    return chat;
  }

  private Sequence sequence(InputOption.Row row) {
    var encoded = encoded(row);
    int[] ids = encoded.ids();
    for (int i = 0; i < ids.length; i++) {
      if (ids[i] >= vocabulary) {
        throw row.place()
            .bad("token %d is %d, the model's vocabulary ends at %d", i, ids[i], vocabulary - 1);
      }
    }
    if (ids.length == 0) {
      throw row.place().bad("the row has no tokens");
    }
    return new Sequence(row.id(), row.place(), encoded);
  }

  private Encoded encoded(InputOption.Row row) {
    if (row.content().hasNonNull("tokens")
        && new RowReader(null).row(row.content(), row.place()) instanceof Row.Tokens(int[] ids)) {
      // Rows of ids need no tokenizer: a folder without one is good enough for them.
      return new Encoded(ids, "", new boolean[ids.length], -1, -1);
    }
    return new RowReader(chat()).read(row.content(), row.place());
  }

  /** Refuses two rows of one name, where these name the tensors of a file. */
  static Consumer<Sequence> distinctNames() {
    Map<String, Place> seen = new HashMap<>();
    return row -> {
      var first = seen.putIfAbsent(row.name(), row.place());
      if (first != null) {
        throw row.place()
            .bad(
                "id %s is also the id of %s, and ids name the tensors of the output; give each row"
                    + " an id of its own",
                row.id(), first);
      }
    };
  }

  /** Says once that rows are longer than the model was made for. */
  static Consumer<Sequence> warnBeyond(int positions, PrintWriter err) {
    boolean[] warned = {false};
    return row -> {
      if (row.ids().length > positions && !warned[0]) {
        warned[0] = true;
        err.printf(
            "warning: %s has %d tokens, the model was made for %d (max_position_embeddings)%n",
            row.place(), row.ids().length, positions);
      }
    };
  }

  @Override
  public void close() {
    if (chat != null) {
      chat.close();
    }
  }
}
