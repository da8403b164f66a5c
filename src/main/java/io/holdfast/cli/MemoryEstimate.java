package io.holdfast.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.HoldfastException;
import io.holdfast.model.Architecture;
import io.holdfast.model.Weights;
import io.holdfast.train.config.TrainConfig;
import io.holdfast.train.config.Tune;
import java.io.IOException;
import java.util.Arrays;

/**
 * Roughly how much memory a run needs, in bytes: a bound from shapes, to see whether it can fit.
 *
 * @param weights of the model, and of the frozen start beside it when all of it is trained
 * @param training gradients and AdamW's two moments, float32; masters where the model is narrower
 * @param activations what one micro-batch of the longest row keeps for its backward pass
 */
record MemoryEstimate(long weights, long training, long activations) {
  private static final int FLOAT = 4;
  private static final ObjectMapper JSON = new ObjectMapper();

  static MemoryEstimate of(TrainConfig config, int longest) {
    var shape = architecture(config);
    boolean full = config.tune() instanceof Tune.Full;
    long trained = full ? shape.parameters() : adapter(shape, (Tune.Lora) config.tune());
    long width = config.precision() == TrainConfig.Precision.FLOAT32 ? FLOAT : 2;
    boolean masters = full && width < FLOAT;
    int tokens = config.data().packing() ? config.data().maxLength() : longest;
    return new MemoryEstimate(
        (full ? 2 : 1) * width * shape.parameters(),
        3L * FLOAT * trained + (masters ? (FLOAT + width) * trained : 0),
        width
            * config.batchSize()
            * tokens
            * (config.activationCheckpointing() ? recomputed(shape) : kept(shape)));
  }

  private static Architecture architecture(TrainConfig config) {
    var file = config.model().resolve("config.json");
    try {
      return Architecture.of(JSON.readTree(file.toFile()), config.model());
    } catch (IOException e) {
      throw HoldfastException.input("%s: not valid JSON: %s", file, e.getMessage()).causedBy(e);
    }
  }

  /** The values of an adapter: both factors of every update, and what is trained in full. */
  private static long adapter(Architecture shape, Tune.Lora lora) {
    var adapter = lora.on("");
    long count = 0;
    for (var weight : Weights.shapes(shape).entrySet()) {
      long[] size = weight.getValue();
      var module = weight.getKey().replaceFirst("\\.[^.]*$", "");
      if (adapter.saved().select(weight.getKey())) {
        count += Arrays.stream(size).reduce(1, (a, b) -> a * b);
      } else if (module.endsWith("_proj") && size.length == 2 && adapter.adapts(module)) {
        count += adapter.scaling().rank(module) * (size[0] + size[1]);
      }
    }
    return count;
  }

  /** Values a token that a graph keeps. */
  private static long kept(Architecture shape) {
    return shape.depth() * block(shape);
  }

  /** Values a token with activation checkpointing: every block's input, and one block. */
  private static long recomputed(Architecture shape) {
    return shape.depth() * (long) shape.hidden() + block(shape);
  }

  /** Of one block: residuals, norms, projections, attention and the MLP. */
  private static long block(Architecture shape) {
    return 8L * shape.hidden()
        + 2L * shape.headDim() * (shape.heads() + shape.kvHeads())
        + 4L * shape.intermediate();
  }

  @Override
  public String toString() {
    return "about %s (weights %s, gradients and moments %s, activations %s); this machine has %s"
        .formatted(
            bytes(weights + training + activations),
            bytes(weights),
            bytes(training),
            bytes(activations),
            bytes(machine()));
  }

  private static long machine() {
    return java.lang.management.ManagementFactory.getOperatingSystemMXBean()
            instanceof com.sun.management.OperatingSystemMXBean system
        ? system.getTotalMemorySize()
        : Runtime.getRuntime().maxMemory();
  }

  private static String bytes(long bytes) {
    double mebibytes = bytes / (double) (1 << 20);
    return mebibytes < 1024
        ? "%.1f MiB".formatted(mebibytes)
        : "%.1f GiB".formatted(mebibytes / 1024);
  }
}
