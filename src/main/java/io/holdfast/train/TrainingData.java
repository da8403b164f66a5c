package io.holdfast.train;

import io.holdfast.checkpoint.Sha256;
import io.holdfast.data.Columns;
import io.holdfast.data.ExampleReader;
import io.holdfast.data.RowReader;
import io.holdfast.text.ChatTokenizer;
import io.holdfast.train.config.TrainConfig;
import java.nio.file.Path;
import java.util.Optional;

/**
 * The rows that a run learns from. They are encoded once, into a file that is mapped, so that they
 * may be more than memory holds; a run that is resumed, or another of the same rows where {@code
 * data.cache} is given, finds it there.
 */
public final class TrainingData {
  private TrainingData() {}

  /** How the rows of a configuration are read. */
  public static ExampleReader reader(TrainConfig config, ChatTokenizer chat) {
    var data = config.data();
    return new ExampleReader(
        new RowReader(chat, new Columns(data.columns())),
        data.lossOn(),
        data.maxLength(),
        config.guard().riskColumn());
  }

  /** How its safety prompts are read: their columns have their own names. */
  public static ExampleReader prompts(TrainConfig config, ChatTokenizer chat) {
    var data = config.data();
    return new ExampleReader(
        new RowReader(chat), data.lossOn(), data.maxLength(), Optional.empty());
  }

  /** The examples of a configuration, from the file that keeps them. */
  static ExampleReader.Result read(TrainConfig config, ChatTokenizer chat, String dataHash) {
    var data = config.data();
    var key = key(config, dataHash);
    var file = shared(config, key, ".rows").orElse(config.output().resolve("data.rows"));
    return reader(config, chat).read(data.train(), file, key);
  }

  /** Names everything that the examples of a configuration depend on. */
  static String key(TrainConfig config, String dataHash) {
    var data = config.data();
    return "version %s, data %s of %s, columns %s, tokenizer %s, loss on %s, length %d, risk %s"
        .formatted(
            version(),
            dataHash,
            data.train(),
            data.columns(),
            Sha256.of(ChatTokenizer.files(config.model())),
            data.lossOn(),
            data.maxLength(),
            config.guard().riskColumn().orElse("none"));
  }

  /** The file for what a key names in the folder that runs share, if there is one. */
  static Optional<Path> shared(TrainConfig config, String key, String extension) {
    return config
        .data()
        .cache()
        .map(folder -> folder.resolve(Sha256.of(key).substring(0, 16) + extension));
  }

  /** The version of this program. */
  static String version() {
    var version = TrainingData.class.getPackage().getImplementationVersion();
    return version == null ? "development" : version;
  }
}
