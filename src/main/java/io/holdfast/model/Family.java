package io.holdfast.model;

import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * The families whose conventions {@link ArchitectureReader} knows: what their {@code config.json}
 * leaves unsaid. One decoder computes them all.
 */
public enum Family {
  /** Llama 1 to 3.x and the many models that took its shape over. */
  LLAMA("LlamaForCausalLM"),
  /** Mistral: as Llama, with a sliding window and a head width of its own. */
  MISTRAL("MistralForCausalLM"),
  /** Qwen 2 and 2.5: biases on queries, keys and values. */
  QWEN2("Qwen2ForCausalLM"),
  /** Qwen 3: norms on queries and keys instead. */
  QWEN3("Qwen3ForCausalLM"),
  /** Gemma 1: scaled embedding, norms that multiply by one plus their weight. */
  GEMMA("GemmaForCausalLM"),
  /** Gemma 2: soft caps, alternating windows, a norm before and after each sub-layer. */
  GEMMA2("Gemma2ForCausalLM"),
  /** Gemma 3, text alone: local and global rotary embeddings, norms on queries and keys. */
  GEMMA3("Gemma3ForCausalLM"),
  /** Phi 3 and 4 mini: fused projections, rotary embedding on a part of each head. */
  PHI3("Phi3ForCausalLM");

  private final String architecture;

  Family(String architecture) {
    this.architecture = architecture;
  }

  /** Its name in {@code architectures}. */
  public String architecture() {
    return architecture;
  }

  /** The family of this name in {@code architectures}. */
  static Optional<Family> named(String architecture) {
    return Arrays.stream(values())
        .filter(family -> family.architecture.equals(architecture))
        .findFirst();
  }

  /** Every name, for messages. */
  static String names() {
    return Arrays.stream(values()).map(Family::architecture).collect(Collectors.joining(", "));
  }

  boolean isGemma() {
    return this == GEMMA || this == GEMMA2 || this == GEMMA3;
  }
}
