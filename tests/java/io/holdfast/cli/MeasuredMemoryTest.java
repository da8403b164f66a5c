package io.holdfast.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.TensorEntry;
import io.holdfast.kernels.DType;
import io.holdfast.model.Architecture;
import io.holdfast.model.Weights;
import io.holdfast.train.Child;
import io.holdfast.train.Progress;
import io.holdfast.train.TrainRun;
import io.holdfast.train.config.TrainConfig;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The estimate against the resident memory that a run adds to its process, which has done a small
 * run before, so that libraries are loaded, and whose heap is resident from the start.
 */
class MeasuredMemoryTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path folder;

  /**
   * Trains a small run, then another, and prints the bytes that the second needed at its height.
   */
  static final class Measured {
    public static void main(String[] arguments) throws IOException {
      train(arguments[0]);
      System.gc();
      long before = status("VmRSS");
      // Resets the high-water mark.
      Files.writeString(Path.of("/proc/self/clear_refs"), "5");
      train(arguments[1]);
      System.out.println(status("VmHWM") - before);
    }

    private static void train(String yaml) {
      TrainRun.run(TrainConfig.load(Path.of(yaml), List.of()), false, Progress.Style.NONE);
    }

    private static long status(String key) throws IOException {
      try (var lines = Files.lines(Path.of("/proc/self/status"))) {
        var line = lines.filter(l -> l.startsWith(key + ":")).findFirst().orElseThrow();
        return 1024 * Long.parseLong(line.replaceAll("\\D", ""));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    // activations, weights, the logits of a large vocabulary, shared keys, an adapter
    "full, 256, 768, 4, 4, 4, 4000, 256, 8",
    "full, 256, 768, 4, 4, 4, 8000, 16, 2",
    "full, 128, 384, 2, 4, 4, 32000, 256, 8",
    "full, 256, 1024, 6, 8, 2, 4000, 256, 4",
    "lora, 256, 768, 4, 4, 4, 4000, 256, 8"
  })
  void aRunTakesWhatItIsEstimatedToTakeWithinAQuarter(
      String tune,
      int hidden,
      int intermediate,
      int layers,
      int heads,
      int kvHeads,
      int vocabulary,
      int length,
      int batch)
      throws Exception {
    var small = yaml("small", tune, shape(32, 64, 1, 2, 2, 1500), 16, 2);
    var shape = shape(hidden, intermediate, layers, heads, kvHeads, vocabulary);
    var large = yaml("large", tune, shape, length, batch);
    var child =
        new Child(Measured.class, small.toString(), large.toString())
            .with("-Xms160m", "-Xmx160m", "-XX:+AlwaysPreTouch")
            .start();
    var said = new String(child.getInputStream().readAllBytes()).strip();
    assertEquals(0, child.waitFor());
    double measured = Double.parseDouble(said);
    long estimate = MemoryEstimate.of(TrainConfig.load(large, List.of()), length).total();
    assertTrue(
        Math.abs(estimate / measured - 1) < 0.25,
        "estimated %.1f MiB, measured %.1f MiB".formatted(estimate / 0x1p20, measured / 0x1p20));
  }

  private static String shape(
      int hidden, int intermediate, int layers, int heads, int kvHeads, int vocabulary) {
    return """
    {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
     "hidden_size": %d, "intermediate_size": %d, "num_hidden_layers": %d,
     "num_attention_heads": %d, "num_key_value_heads": %d, "vocab_size": %d,
     "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
     "tie_word_embeddings": false}
    """
        .formatted(hidden, intermediate, layers, heads, kvHeads, vocabulary);
  }

  private Path yaml(String name, String tune, String shape, int length, int batch)
      throws IOException {
    var root = Files.createDirectories(folder.resolve(name));
    var model = root.resolve("model");
    var config = JSON.readTree(shape);
    try (var weights = Weights.random(Architecture.of(config, root), 3)) {
      var entries = new ArrayList<TensorEntry>();
      weights.all().forEach((key, tensor) -> entries.add(entry(key, tensor)));
      ModelFolder.save(
          model,
          config,
          entries,
          Path.of("src/main/resources/io/holdfast/world/base"),
          ModelFolder.SHARD_BYTES);
    }
    var random = new SplittableRandom(1);
    var rows =
        IntStream.range(0, 2 * batch)
            .mapToObj(
                _ ->
                    random
                        .ints(length, 0, 1500)
                        .mapToObj(Integer::toString)
                        .collect(Collectors.joining(", ", "{\"tokens\": [", "]}")))
            .toList();
    var data = Files.write(root.resolve("rows.jsonl"), rows);
    return Files.writeString(
        root.resolve("train.yaml"),
        """
        model: %s
        data: {train: [%s], max_length: %d}
        tune: %s
        steps: 2
        batch_size: %d
        checkpoint: {every: 0}
        threads: 2
        output: %s
        """
            .formatted(model, data, length, tune, batch, root.resolve("run")));
  }

  private static TensorEntry entry(String name, Tensor tensor) {
    var bytes =
        MemorySegment.ofAddress(tensor.data_ptr().address())
            .reinterpret(tensor.numel() * Float.BYTES);
    var size = LongStream.range(0, tensor.dim()).map(tensor::size).boxed().toList();
    return new TensorEntry(name, DType.FLOAT32, size, bytes);
  }
}
