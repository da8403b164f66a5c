package io.holdfast.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.HoldfastException;
import io.holdfast.model.Architecture;
import io.holdfast.model.Weights;
import io.holdfast.train.FusedHead;
import io.holdfast.train.config.TrainConfig;
import io.holdfast.train.config.Tune;
import java.io.IOException;
import java.util.Arrays;

/**
 * How much memory a run needs beside the process itself, in bytes, from shapes: of its largest
 * micro-batch, every row as long as the longest. The tests hold it against what runs take.
 *
 * @param weights of the model, and of the start beside it when all of it is trained
 * @param training gradients, AdamW's two moments, and masters where the model is narrower
 * @param forward what the forward pass computes: it all lives until the pass is done
 * @param kept of that, for the way back
 * @param logits a chunk of them, and one of the reference's
 */
record MemoryEstimate(long weights, long training, long forward, long kept, long logits) {
  private static final int FLOAT = 4;

  /** Values a token and block that adapters on queries and values add, in widths of the model. */
  private static final int LORA = 6;

  private static final ObjectMapper JSON = new ObjectMapper();

  /**
   * An estimate.
   *
   * @param longest tokens of the longest row
   */
  static MemoryEstimate of(TrainConfig config, int longest) {
    var shape = architecture(config);
    boolean full = config.tune() instanceof Tune.Full;
    long trained =
        switch (config.tune()) {
          case Tune.Full() -> shape.parameters();
          case Tune.Lora lora -> adapter(shape, lora);
          case Tune.Reft reft -> {
            int layers = reft.layers().isEmpty() ? shape.depth() - 1 : reft.layers().size();
            yield layers * reft.rank() * (2L * shape.hidden() + 1);
          }
        };
    long width = config.precision() == TrainConfig.Precision.FLOAT32 ? FLOAT : 2;
    boolean masters = full && width < FLOAT;
    int length = config.data().packing() ? config.data().maxLength() : longest;
    long tokens = (long) config.batchSize() * length;
    long block = width * tokens * (block(shape, length) + (full ? 0 : LORA * shape.hidden()));
    long input = width * tokens * shape.hidden();
    boolean again = config.activationCheckpointing();
    return new MemoryEstimate(
        (full ? 2 : 1) * width * shape.parameters(),
        training(trained, masters, sums(config)),
        again ? shape.depth() * input + block : shape.depth() * block,
        again ? shape.depth() * input + block : width * tokens * shape.depth() * kept(shape),
        width * logits(shape, tokens, config.guard().kl().isPresent()));
  }

  /** Whether gradients of several passes are added up in float32, or guards read them there. */
  private static boolean sums(TrainConfig config) {
    var guard = config.guard();
    return config.accumulation() > 1 || guard.kl().isPresent() || guard.subspace().isPresent();
  }

  /** Gradients and moments. A master has the gradient of its rounded copy, and perhaps a sum. */
  private static long training(long trained, boolean masters, boolean sums) {
    long moments = 2L * FLOAT * trained;
    if (!masters) {
      return moments + FLOAT * trained;
    }
    return moments + (FLOAT + FLOAT / 2 + (sums ? FLOAT : 0)) * trained;
  }

  /** Bytes at the height of a step: as the forward pass ends, or as the way back begins. */
  long total() {
    return weights + training + activations();
  }

  /** What a micro-batch takes, at the higher of the two. */
  long activations() {
    return Math.max(forward, kept + logits);
  }

  /** What is left of a machine's memory is for others; this says whether a run fits at all. */
  boolean fits() {
    return total() <= machine();
  }

  /** The shape of the model that a configuration names. */
  static Architecture architecture(TrainConfig config) {
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

  /**
   * Values a token that one block computes: norms, residuals and the outputs of both halves (6 d);
   * queries, keys, values and the mix of values, and copies of what heads share; the MLP's three;
   * and scores where attention computes them itself.
   */
  private static long block(Architecture shape, int length) {
    long query = (long) shape.heads() * shape.headDim();
    long key = (long) shape.kvHeads() * shape.headDim();
    long shared = shape.heads() == shape.kvHeads() ? 0 : 2 * query;
    long scores = shape.attention().cap() > 0 ? 5L * shape.heads() * length : 0;
    return 6L * shape.hidden() + 2 * (query + key) + shared + 3L * shape.intermediate() + scores;
  }

  /** Of these, the values a token that the way back needs. */
  private static long kept(Architecture shape) {
    long query = (long) shape.heads() * shape.headDim();
    return 4 * (shape.hidden() + query) + 3L * shape.intermediate();
  }

  private static long logits(Architecture shape, long tokens, boolean kl) {
    long rows = Math.min(tokens, FusedHead.chunkRows(shape.vocabulary()));
    return (kl ? 2 : 1) * rows * shape.vocabulary();
  }

  @Override
  public String toString() {
    return "about %s (weights %s, gradients and moments %s, activations %s); this machine has %s%s"
        .formatted(
            bytes(total()),
            bytes(weights),
            bytes(training),
            bytes(activations()),
            bytes(machine()),
            fits() ? "" : ": too little. Train a LoRA, take a smaller batch_size or max_length");
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
