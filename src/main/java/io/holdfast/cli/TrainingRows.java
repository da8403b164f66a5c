package io.holdfast.cli;

import io.holdfast.data.Example;
import io.holdfast.data.ExampleReader;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.TrainingData;
import io.holdfast.train.Windows;
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
      config.guard().anchors().ifPresent(reader::readPrompts);
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
    return "%,d rows%s%s"
        .formatted(
            examples().size(),
            result.cut() == 0 ? "" : ", %,d longer than max_length and cut".formatted(result.cut()),
            result.dropped() == 0
                ? ""
                : ", %,d left out: the cut took all there was to learn"
                    .formatted(result.dropped()));
  }

  /** How long the run is. */
  String steps(TrainConfig config) {
    int window = config.batchSize() * config.accumulation();
    var windows = Windows.of(config, examples());
    int steps = config.totalSteps(windows.stepsPerEpoch());
    return "%,d of %d rows (%d x %d), %.2f epochs%s"
        .formatted(
            steps,
            window,
            config.batchSize(),
            config.accumulation(),
            (double) steps * window / windows.rows(),
            config.data().packing() ? ", packed into %,d rows".formatted(windows.rows()) : "");
  }

  @Override
  public void close() {
    chat.close();
  }
}
