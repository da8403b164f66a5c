package io.holdfast.model;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.HoldfastException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/**
 * The shape of a decoder, read from {@code config.json}: everything that tells one family from
 * another is a value here, and {@link Decoder} computes them all.
 *
 * @param vocabulary rows of the embedding
 * @param hidden width d of the residual stream
 * @param intermediate width of the gated MLP
 * @param heads query heads
 * @param kvHeads key and value heads; {@code heads} is a multiple of it
 * @param headDim width of one head
 * @param layers how each block attends, first to last
 * @param attention what all of them share
 * @param mlp the gated MLP
 * @param norms the root-mean-square norms
 * @param embeddingScale multiplies the embedding; 1 for most
 * @param logitCap c in {@code c tanh(logits / c)}; 0 for none
 * @param tied whether the head is the embedding
 * @param maxPositions longest sequence the model was made for
 */
public record Architecture(
    int vocabulary,
    int hidden,
    int intermediate,
    int heads,
    int kvHeads,
    int headDim,
    List<Layer> layers,
    Attention attention,
    Mlp mlp,
    Norms norms,
    double embeddingScale,
    double logitCap,
    boolean tied,
    int maxPositions) {

  /**
   * How one block attends.
   *
   * @param window tokens in sight, the token itself included; 0 for all before it
   * @param rope its rotary embedding
   */
  public record Layer(int window, Rope rope) {}

  /**
   * What the attention of all blocks shares.
   *
   * @param scale multiplies the scores
   * @param cap c in {@code c tanh(scores / c)} before the mask; 0 for none
   * @param inputBias whether the query, key and value projections have a bias
   * @param outputBias whether the output projection has one
   * @param fused whether queries, keys and values come from one matrix, {@code qkv_proj}
   */
  public record Attention(
      double scale, double cap, boolean inputBias, boolean outputBias, boolean fused) {}

  /**
   * The gated MLP {@code down(act(gate x) * up x)}.
   *
   * @param activation of the gate
   * @param bias whether its projections have a bias
   * @param fused whether gate and up come from one matrix, {@code gate_up_proj}
   */
  public record Mlp(Activation activation, boolean bias, boolean fused) {}

  /** The gate's nonlinearity. */
  public enum Activation {
    /** {@code x sigmoid(x)}. */
    SILU,
    /** {@code x Phi(x)}. */
    GELU,
    /** GELU by its tanh approximation (Hendrycks and Gimpel 2016). */
    GELU_TANH
  }

  /**
   * Root-mean-square norms (Zhang and Sennrich 2019).
   *
   * @param eps added to the mean square
   * @param onePlus whether the gain is one plus the weight
   * @param queryKey whether queries and keys are normed per head
   * @param sandwich whether attention and MLP are normed after as well as before
   */
  public record Norms(double eps, boolean onePlus, boolean queryKey, boolean sandwich) {}

  /** Checks what the decoder relies on. */
  public Architecture {
    if (heads < 1 || kvHeads < 1 || heads % kvHeads != 0) {
      throw new IllegalArgumentException(
          "num_attention_heads %d is not a multiple of num_key_value_heads %d"
              .formatted(heads, kvHeads));
    }
    if (headDim < 2 || headDim % 2 != 0) {
      throw new IllegalArgumentException("head_dim %d is not even".formatted(headDim));
    }
    if (vocabulary < 1 || hidden < 1 || layers.isEmpty() || intermediate < 1) {
      throw new IllegalArgumentException("a size in config.json is not positive");
    }
    layers = List.copyOf(layers);
  }

  /**
   * Reads a configuration.
   *
   * @throws HoldfastException for an unknown family or a setting the decoder does not compute; a
   *     setting is never ignored
   */
  public static Architecture of(JsonNode config, Path folder) {
    return ArchitectureReader.read(config, folder.resolve("config.json"));
  }

  /** Number of blocks. */
  public int depth() {
    return layers.size();
  }

  /** Number of trainable values. */
  public long parameters() {
    return Weights.shapes(this).values().stream()
        .mapToLong(shape -> Arrays.stream(shape).reduce(1, Math::multiplyExact))
        .sum();
  }

  /**
   * Longest sequence that a rotary embedding with two sets of frequencies computes with the first;
   * {@code Integer.MAX_VALUE} where there is one set. Sequences on either side do not share a
   * batch.
   */
  public int shortPositions() {
    return layers.stream().mapToInt(layer -> layer.rope().shortPositions()).min().orElseThrow();
  }
}
