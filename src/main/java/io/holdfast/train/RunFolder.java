package io.holdfast.train;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.train.config.TrainConfig;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Optional;

/**
 * The folder of a run: {@code run.yaml}, {@code manifest.json}, {@code metrics.jsonl} and {@code
 * checkpoints/}.
 */
public final class RunFolder implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path path;
  private final BufferedWriter metrics;

  private RunFolder(Path path, BufferedWriter metrics) {
    this.path = path;
    this.metrics = metrics;
  }

  /**
   * Starts a run.
   *
   * @throws HoldfastException if the folder holds a run already
   */
  public static RunFolder create(TrainConfig config) {
    var path = config.output();
    // A run that was refused before its first step has left nothing worth keeping.
    if (path.resolve("metrics.jsonl").toFile().length() > 0) {
      throw HoldfastException.usage(
          "output: %s already holds a run. Go on with it by --resume, or name another folder.",
          path);
    }
    return open(path, Optional.empty());
  }

  /** Goes on with a run: metrics after the checkpoint's step are forgotten. */
  public static RunFolder resume(TrainConfig config, long step) {
    return open(config.output(), Optional.of(step));
  }

  private static RunFolder open(Path path, Optional<Long> resumed) {
    var file = path.resolve("metrics.jsonl");
    try {
      Files.createDirectories(path);
      if (resumed.isPresent() && Files.exists(file)) {
        AtomicFile.write(file, upTo(file, resumed.get()));
      }
      return new RunFolder(
          path,
          Files.newBufferedWriter(file, StandardOpenOption.CREATE, StandardOpenOption.APPEND));
    } catch (IOException e) {
      throw failure(path, e);
    }
  }

  private static String upTo(Path file, long step) throws IOException {
    var kept = new ArrayList<String>();
    for (var line : Files.readAllLines(file)) {
      try {
        if (JSON.readTree(line).path("step").asLong(Long.MAX_VALUE) <= step) {
          kept.add(line);
        }
      } catch (com.fasterxml.jackson.core.JacksonException e) {
        // The last line of a killed run may be cut off; its step is after the checkpoint.
        break;
      }
    }
    return kept.isEmpty() ? "" : String.join("\n", kept) + "\n";
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
    line.put("tokens_per_second", report.tokensPerSecond());
    report.terms().forEach(line::put);
    try {
      metrics.write(JSON.writeValueAsString(line));
      metrics.newLine();
      metrics.flush();
    } catch (IOException e) {
      throw failure(path.resolve("metrics.jsonl"), e);
    }
  }

  private static HoldfastException failure(Path file, IOException e) {
    return HoldfastException.input(
            "%s: cannot be written (%s); check the permissions and the space left on the disk",
            file, e.getMessage())
        .causedBy(e);
  }

  @Override
  public void close() {
    try {
      metrics.close();
    } catch (IOException e) {
      throw failure(path.resolve("metrics.jsonl"), e);
    }
  }
}
