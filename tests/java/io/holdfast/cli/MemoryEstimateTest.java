package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.model.Decoder;
import io.holdfast.train.config.TrainConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MemoryEstimateTest {
  private static final Path MODEL = Path.of("src/main/resources/io/holdfast/world/base");

  @TempDir Path folder;
  private Path yaml;

  @BeforeEach
  void config() throws IOException {
    yaml =
        Files.writeString(
            folder.resolve("run.yaml"),
            "model: %s\ndata: {train: [rows.jsonl], max_length: 96}\nsteps: 1\noutput: out\n"
                .formatted(MODEL));
  }

  private MemoryEstimate of(String... settings) {
    return MemoryEstimate.of(TrainConfig.load(yaml, List.of(settings)), 24);
  }

  @Test
  void whatEachPrecisionHolds() {
    long parameters;
    try (var model = Decoder.load(MODEL)) {
      parameters = model.weights().all().values().stream().mapToLong(t -> t.numel()).sum();
    }
    // Model and start; gradient and two moments.
    assertEquals(8 * parameters, of().weights());
    assertEquals(12 * parameters, of().training());
    // The same halved; a master and the gradient that is rounded beside them.
    assertEquals(4 * parameters, of("precision=bfloat16").weights());
    assertEquals(14 * parameters, of("precision=bfloat16").training());
    // Several gradients are added up in float32.
    assertEquals(18 * parameters, of("precision=bfloat16", "accumulation=2").training());
    assertEquals(of("tune=lora").training(), of("tune=lora", "precision=bfloat16").training());
    assertEquals(of().activations() / 2, of("precision=bfloat16").activations());
  }

  @Test
  void checkpointingKeepsLessAndFullRowsMore() {
    assertTrue(of("activation_checkpointing=true").activations() < of().activations() / 2);
    assertEquals(4 * of().activations(), of("data.packing=true").activations());
  }
}
