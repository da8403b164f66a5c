package io.holdfast.cli.demo;

import com.sun.management.OperatingSystemMXBean;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.checkpoint.AtomicFolder;
import io.holdfast.model.AdaptedDecoder;
import io.holdfast.model.Decoder;
import io.holdfast.report.RunRow;
import io.holdfast.train.Progress;
import io.holdfast.train.TrainRun;
import io.holdfast.train.config.TrainConfig;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.SequencedMap;

/**
 * One arm on one kind of rows with one seed: trained the way a user's own run is, then judged.
 *
 * @param folder of the seed
 */
record ArmRun(ArmList arms, ArmList.Cell cell, TestBed bed, Path folder, long seed) {
  private static final OperatingSystemMXBean MACHINE =
      ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);

  /**
   * What an arm's result depends on, and where it is kept.
   *
   * @param stages configurations, one run after the other
   */
  record Result(Path file, String key, SequencedMap<String, String> stages) {
    /** Whether it is there. */
    boolean done() {
      return ArmResult.read(file).filter(result -> result.key().equals(key)).isPresent();
    }
  }

  /** What a run of this arm would depend on. */
  Result result() {
    var places = bed.places(cell.rows(), arms.rows().get(cell.rows()));
    var stages = new LinkedHashMap<String, String>();
    if (cell.arm().first() != null) {
      places.put("out", output("first").toString());
      stages.put("first", arms.yaml(cell.arm().first(), places));
      places.put("base", firstModel().toString());
    }
    places.put("out", output("last").toString());
    stages.put("last", arms.yaml(cell.arm().set(), places));
    var key = bed.judges() + "\n" + bed.lasting(String.join("\n", stages.values()));
    return new Result(file(folder, cell.id()), key, stages);
  }

  private Path output(String stage) {
    return folder.resolve("run").resolve(stage);
  }

  private Path firstModel() {
    return folder.resolve("first-model");
  }

  /** Where the result of an arm is kept. */
  static Path file(Path folder, String id) {
    var name = id.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9.]+", "-");
    return made(folder.resolve("results")).resolve(name + ".json");
  }

  private static Path made(Path folder) {
    try {
      return Files.createDirectories(folder);
    } catch (IOException e) {
      throw HoldfastException.input("%s: cannot be created (%s)", folder, e.getMessage());
    }
  }

  /** Trains, judges and keeps the result. */
  RunRow run(Result result) {
    double milliseconds = 0;
    TrainRun.Outcome outcome = null;
    TrainConfig config = null;
    for (var stage : result.stages().entrySet()) {
      var output = output(stage.getKey());
      if (Files.exists(output)) {
        AtomicFolder.delete(output);
      }
      var yaml = made(folder.resolve("run")).resolve(stage.getKey() + ".yaml");
      AtomicFile.write(yaml, stage.getValue());
      config = TrainConfig.load(yaml, List.of());
      long before = MACHINE.getProcessCpuTime();
      outcome = TrainRun.run(config, false, Progress.Style.NONE);
      milliseconds = (MACHINE.getProcessCpuTime() - before) / 1e6;
      if (stage.getKey().equals("first")) {
        BaseModel.copy(outcome.checkpoint(), firstModel());
      }
    }
    var row = judged(config, outcome, milliseconds);
    new ArmResult(cell.rows(), seed, result.key(), row).write(result.file());
    return row;
  }

  private RunRow judged(TrainConfig config, TrainRun.Outcome outcome, double milliseconds) {
    if (Files.isRegularFile(outcome.checkpoint().resolve("adapter_config.json"))) {
      try (var adapted = AdaptedDecoder.load(config.model(), outcome.checkpoint())) {
        return judged(adapted.decoder(), outcome, milliseconds);
      }
    }
    try (var model = Decoder.load(outcome.checkpoint())) {
      return judged(model, outcome, milliseconds);
    }
  }

  private RunRow judged(Decoder model, TrainRun.Outcome outcome, double milliseconds) {
    boolean shifted = arms.rows().get(cell.rows()).identityShift();
    var metrics = new LinkedHashMap<>(bed.evaluate(model, shifted).metrics());
    metrics.put("cpu_ms_per_step", milliseconds / outcome.steps());
    return new RunRow(
        cell.arm().name(), metrics, bed.drift(model), outcome.tokensPerSecond(), outcome.seconds());
  }

  @Override
  public String toString() {
    return "seed %d, %s".formatted(seed, cell.id());
  }
}
