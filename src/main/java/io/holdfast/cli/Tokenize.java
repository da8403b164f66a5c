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
    description = "Write ids, rendered text and assistant mask of each row.")
final class Tokenize implements Runnable {
  @Mixin private ModelOption model;
  @Mixin private InputOption input;
  @Mixin private OutputOption output;

  @Override
  public void run() {
    try (var chat = ChatTokenizer.load(model.folder())) {
      var reader = new RowReader(chat);
      output.writeLines(
          input.rows().stream()
              .map(row -> line(row, reader.read(row.content(), row.place()), chat)));
    }
  }

  private static ObjectNode line(InputOption.Row row, Encoded encoded, ChatTokenizer chat) {
    var line = JsonNodeFactory.instance.objectNode();
    line.set("id", row.id());
    var ids = line.putArray("ids");
    for (int id : encoded.ids()) {
      ids.add(id);
    }
    line.put("text", text(row, encoded, chat));
    var mask = line.putArray("assistant_mask");
    for (boolean assistant : encoded.assistant()) {
      mask.add(assistant ? 1 : 0);
    }
    return line;
  }

  /** What was encoded: the rendered conversation, the plain text, or what given ids stand for. */
  private static String text(InputOption.Row row, Encoded encoded, ChatTokenizer chat) {
    var content = row.content();
    if (content.has("messages")) {
      return chat.render(
          RowReader.messages(content.get("messages"), row.place()),
          content.path("add_generation_prompt").asBoolean(false));
    }
    return content.path("text").isTextual()
        ? content.get("text").asText()
        : chat.tokenizer().decode(encoded.ids(), false);
  }
}
