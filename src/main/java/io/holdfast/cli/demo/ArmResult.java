package io.holdfast.cli.demo;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.report.RunRow;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What came of one arm on one seed.
 *
 * @param rows name of its training data
 * @param key everything the result depends on: it is made again when that changes
 * @param row its figures; {@code cpu_ms_per_step} among the metrics is the processor time of a step
 */
record ArmResult(String rows, long seed, String key, RunRow row) {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** The result that a file keeps, if it is there. */
  static Optional<ArmResult> read(Path file) {
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    try {
      var kept = JSON.readTree(file.toFile());
      return Optional.of(
          new ArmResult(
              kept.get("rows").asText(),
              kept.get("seed").asLong(),
              kept.get("key").asText(),
              RunRow.of((ObjectNode) kept.get("row"))));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  void write(Path file) {
    var kept = JSON.createObjectNode();
    kept.put("rows", rows).put("seed", seed).put("key", key);
    kept.set("row", row.json());
    AtomicFile.write(file, kept.toPrettyString() + "\n");
  }
}
