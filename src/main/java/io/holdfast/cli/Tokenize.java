package io.holdfast.cli;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.data.RowReader;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.text.Encoded;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** Rows to token ids, rendered text and assistant mask; needs the tokenizer's files only. */
@Command(
    name = "tokenize",
    description = "Write ids, rendered text and assistant mask of each row.",
    footer = {
      "Rows hold tokens, text, messages, or a prompt and its completion; see docs/commands.md.",
      "Only the tokenizer's files need be in the model's folder."
    })
final class Tokenize implements Runnable {
  @Mixin private ModelFolderOption model;
  @Mixin private InputOption input;
  @Mixin private OutputOption output;

  @Override
  public void run() {
    try (var chat = ChatTokenizer.load(model.folder());
        var rows = InputOption.stream(input.file())) {
      var reader = new RowReader(chat);
      output.writeLines(rows.map(row -> line(row, reader.read(row.content(), row.place()))));
    }
  }

  private static ObjectNode line(InputOption.Row row, Encoded encoded) {
    var line = JsonNodeFactory.instance.objectNode();
    line.set("id", row.id());
    var ids = line.putArray("ids");
    for (int id : encoded.ids()) {
      ids.add(id);
    }
    line.put("text", encoded.text());
    var mask = line.putArray("assistant_mask");
    for (boolean assistant : encoded.assistant()) {
      mask.add(assistant ? 1 : 0);
    }
    return line;
  }
}
