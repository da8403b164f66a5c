package io.holdfast.train;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.train.config.TrainConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;

/**
 * The folder of a run: {@code run.yaml}, {@code manifest.json}, {@code metrics.jsonl}, {@code
 * evals.jsonl}, {@code drift.jsonl} and {@code geometry.jsonl} where they are asked for, the same
 * numbers for TensorBoard in {@code tensorboard/}, and {@code checkpoints/}.
 */
public final class RunFolder {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path path;
  private final StepLog metrics;
  private final StepLog evaluations;
  private final StepLog drifts;
  private final StepLog geometry;
  private final TensorBoard tensorBoard;

  private RunFolder(Path path, OptionalLong resumed) {
    this.path = path;
    this.metrics = new StepLog(path.resolve("metrics.jsonl"));
    this.evaluations = new StepLog(path.resolve("evals.jsonl"));
    this.drifts = new StepLog(path.resolve("drift.jsonl"));
    this.geometry = new StepLog(path.resolve("geometry.jsonl"));
    resumed.ifPresent(
        step -> List.of(metrics, evaluations, drifts, geometry).forEach(log -> log.cut(step)));
    this.tensorBoard = TensorBoard.open(path.resolve("tensorboard"), resumed);
  }

  /**
   * Starts a run.
   *
   * @throws HoldfastException if the folder holds a run already
   */
  public static RunFolder create(TrainConfig config) {
    requireFree(config.output());
    return open(config.output(), OptionalLong.empty());
  }

  /** Throws if the folder holds a run. */
  static void requireFree(Path path) {
    // A run that was refused before its first step has left nothing worth keeping.
    if (path.resolve("metrics.jsonl").toFile().length() > 0) {
      throw HoldfastException.usage(
          "output: %s already holds a run. Go on with it by --resume, or name another folder.",
          path);
    }
  }

  /** Goes on with a run: metrics after the checkpoint's step are forgotten. */
  public static RunFolder resume(TrainConfig config, long step) {
    return open(config.output(), OptionalLong.of(step));
  }

  private static RunFolder open(Path path, OptionalLong resumed) {
    try {
      Files.createDirectories(path);
      return new RunFolder(path, resumed);
    } catch (IOException e) {
      throw HoldfastException.input(
              "%s: cannot be created (%s); check the permissions", path, e.getMessage())
          .causedBy(e);
    }
  }

  /** Where it is. */
  public Path path() {
    return path;
  }

  /** Writes the resolved configuration and what the run depends on. */
  public void describe(TrainConfig config, ObjectNode manifest) {
    AtomicFile.write(path.resolve("run.yaml"), config.toYaml());
    AtomicFile.write(path.resolve("manifest.json"), manifest.toPrettyString() + "\n");
  }

  /** Appends a line to {@code metrics.jsonl}. */
  public void append(StepReport report) {
    var line = JSON.createObjectNode();
    line.put("step", report.step());
    line.put("loss", report.loss());
    line.put("grad_norm", report.gradNorm());
    line.put("lr", report.lr());
    line.put("tokens", report.tokens());
    line.put("supervised", report.supervised());
    line.put("tokens_per_second", report.tokensPerSecond());
    report.terms().forEach(line::put);
    metrics.append(report.step(), line);
    tensorBoard.scalars(report.step(), "train", line);
  }

  /** Appends what an evaluation found after a step to {@code evals.jsonl}. */
  public void append(long step, ObjectNode evaluation) {
    var line = JSON.createObjectNode();
    line.put("step", step);
    line.setAll(evaluation);
    evaluations.append(step, line);
    tensorBoard.scalars(step, "eval", line);
  }

  /** Appends a drift report to {@code drift.jsonl}: one line with all layers. */
  public void appendDrift(long step, List<ObjectNode> lines) {
    var line = JSON.createObjectNode();
    line.put("step", step);
    line.putArray("drift").addAll(lines);
    drifts.append(step, line);
  }

  /** Appends a measurement to {@code geometry.jsonl}, its figures in one line. */
  public void appendGeometry(long step, ObjectNode measurement) {
    var line = JSON.createObjectNode();
    line.put("step", step);
    line.setAll(measurement);
    geometry.append(step, line);
    var scalars = JSON.createObjectNode();
    for (var figure : measurement.path("figures")) {
      var layer = figure.has("layer") ? "/" + figure.get("layer").asText() : "";
      scalars.set(figure.get("measure").asText() + layer, figure.path("value"));
    }
    tensorBoard.scalars(step, "geometry", scalars);
  }

  /** The step of the last measurement, or -1. */
  public long lastGeometry() {
    return geometry.last();
  }

  /** The step of the last drift report, or -1. */
  public long lastDrift() {
    return drifts.last();
  }

  /** The step of the last evaluation, or -1. */
  public long lastEvaluated() {
    return evaluations.last();
  }
}
