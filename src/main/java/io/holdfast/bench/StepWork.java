package io.holdfast.bench;

import io.holdfast.model.Architecture;
import io.holdfast.model.Weights;
import io.holdfast.train.StepReport;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * What a step of plain training cannot do without: the products of its tokens with the model's
 * matrices, those of its supervised tokens with the head, and the bytes of the optimizer. Attention
 * between tokens, norms and the embedding are left out, so that this is less than the whole.
 *
 * @param perToken operations for each token, forward and back
 * @param perSupervised operations of the head for each supervised token
 * @param bytes read and written for the gradient's norm and AdamW
 */
public record StepWork(double perToken, double perSupervised, double bytes) {
  private static final Pattern BLOCK = Pattern.compile("layers?\\.(\\d+)\\.");

  /**
   * Gradients are read for their norm, and again by AdamW, which reads and writes the weight and
   * two moments: 8 floats a value.
   */
  private static final double OPTIMIZER_BYTES = 8 * Float.BYTES;

  /**
   * The work of a step.
   *
   * @param trained shapes of what the optimizer moves, by name; what is not among the model's own
   *     weights is an adapter's
   */
  public static StepWork of(Architecture shape, Map<String, long[]> trained) {
    var own = Weights.shapes(shape);
    // Below the lowest trained block no gradient is needed, nor that of the block's own input.
    int lowest =
        trained.keySet().stream()
            .mapToInt(name -> name.contains("embed_tokens") ? -1 : block(name, shape.depth()))
            .min()
            .orElse(shape.depth());
    double products = 0;
    for (var weight : own.entrySet()) {
      int block = block(weight.getKey(), -1);
      if (matrix(weight.getValue()) && block >= 0) {
        int passes = 1;
        passes += block > lowest ? 1 : 0;
        passes += trained.containsKey(weight.getKey()) ? 1 : 0;
        products += passes * size(weight.getValue());
      }
    }
    double values = 0;
    for (var weight : trained.entrySet()) {
      values += size(weight.getValue());
      boolean adapter = !own.containsKey(weight.getKey());
      if (adapter && matrix(weight.getValue()) && weight.getKey().contains("lora_")) {
        // Forward and the factor's own gradient; what it hands down may not be needed.
        products += 2 * size(weight.getValue());
      }
    }
    var head = shape.tied() ? "model.embed_tokens.weight" : "lm_head.weight";
    double logits = (double) shape.vocabulary() * shape.hidden();
    return new StepWork(
        2 * products, 2 * logits * (trained.containsKey(head) ? 3 : 2), OPTIMIZER_BYTES * values);
  }

  /** Operations of a step. */
  public double operations(StepReport step) {
    return perToken * step.tokens() + perSupervised * step.supervised();
  }

  /** The least time of a step in seconds: its products, then its optimizer. */
  public double floor(StepReport step, Ceiling ceiling) {
    return operations(step) / ceiling.arithmetic() + bytes / ceiling.bandwidth();
  }

  /** The number of the block that a weight belongs to. */
  private static int block(String name, int none) {
    var found = BLOCK.matcher(name);
    return found.find() ? Integer.parseInt(found.group(1)) : none;
  }

  private static boolean matrix(long[] shape) {
    return shape.length == 2;
  }

  private static double size(long[] shape) {
    double size = 1;
    for (long side : shape) {
      size *= side;
    }
    return size;
  }
}
