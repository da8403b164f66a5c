package io.holdfast.cli;

import io.holdfast.HoldfastException;
import io.holdfast.data.RowReader;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.text.Row;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Rows as ids that the model has. */
final class SequenceReader {
  private SequenceReader() {}

  static List<int[]> read(List<InputOption.Row> rows, Path folder, int vocabulary) {
    boolean onlyTokens = rows.stream().allMatch(row -> row.content().hasNonNull("tokens"));
    try (var chat = onlyTokens ? null : ChatTokenizer.load(folder)) {
      var reader = new RowReader(chat);
      var sequences = new ArrayList<int[]>();
      for (var row : rows) {
        // Rows of ids need no tokenizer: a folder without one can still be scored.
        int[] ids =
            reader.row(row.content(), row.place()) instanceof Row.Tokens tokens
                ? tokens.ids()
                : reader.read(row.content(), row.place()).ids();
        for (int i = 0; i < ids.length; i++) {
          if (ids[i] >= vocabulary) {
            throw HoldfastException.input(
                "%s: token %d is %d, the model's vocabulary ends at %d",
                row.place(), i, ids[i], vocabulary - 1);
          }
        }
        if (ids.length == 0) {
          throw HoldfastException.input("%s: the row has no tokens", row.place());
        }
        sequences.add(ids);
      }
      return sequences;
    }
  }
}
