package io.holdfast.cli;

import io.holdfast.data.Example;
import io.holdfast.data.ExampleReader;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.TrainingData;
import io.holdfast.train.config.TrainConfig;
import java.util.List;

/**
 * The rows of a configuration as the trainer will see them.
 *
 * @param chat the tokenizer they were read with
 * @param result rows, and how many were cut or dropped
 */
record TrainingRows(ChatTokenizer chat, ExampleReader.Result result) implements AutoCloseable {
  static TrainingRows read(TrainConfig config) {
    var chat = ChatTokenizer.load(config.model());
    try {
      var reader = TrainingData.reader(config, chat);
      config.guard().anchors().ifPresent(TrainingData.prompts(config, chat)::readPrompts);
      return new TrainingRows(chat, reader.read(config.data().train()));
    } catch (RuntimeException e) {
      chat.close();
      throw e;
    }
  }

  List<Example> examples() {
    return result.examples();
  }

  /** How many there are. */
  String summary() {
    return summary(examples().size(), result.cut(), result.dropped());
  }

  /** How many rows there are, and what became of those that are too long. */
  static String summary(int rows, int cut, int dropped) {
    return "%,d rows%s%s"
        .formatted(
            rows,
            cut == 0 ? "" : ", %,d longer than max_length and cut".formatted(cut),
            dropped == 0
                ? ""
                : ", %,d left out: the cut took all there was to learn".formatted(dropped));
  }

  @Override
  public void close() {
    chat.close();
  }
}
