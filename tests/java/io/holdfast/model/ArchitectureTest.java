package io.holdfast.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.ExitCode;
import io.holdfast.Goldens;
import io.holdfast.HoldfastException;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** {@code config.json} of the public families, as {@code transformers} reads it, and refusals. */
class ArchitectureTest {
  private static final JsonNode GOLDEN = Goldens.json(Goldens.path("configs.json"));
  private static final Path FOLDER = Path.of("some");

  static Stream<String> configs() {
    return GOLDEN.propertyStream().map(java.util.Map.Entry::getKey);
  }

  @ParameterizedTest
  @MethodSource("configs")
  void readsAsTransformersDoes(String name) {
    var expected = GOLDEN.get(name).get("expect");
    var read = Architecture.of(GOLDEN.get(name).get("config"), FOLDER);
    assertEquals(expected.get("windows").size(), read.depth());
    for (int layer = 0; layer < read.depth(); layer++) {
      assertEquals(expected.get("windows").get(layer).asInt(), read.layers().get(layer).window());
    }
    assertEquals(expected.get("scale").asDouble(), read.attention().scale(), 1e-12, "scale");
    assertEquals(expected.get("cap").asDouble(), read.attention().cap(), "cap of the scores");
    assertEquals(expected.get("logit_cap").asDouble(), read.logitCap(), "cap of the logits");
    assertEquals(expected.get("eps").asDouble(), read.norms().eps(), "eps");
    assertEquals(expected.get("embedding_scale").asDouble(), read.embeddingScale(), 1e-12);
    assertEquals(expected.get("tied").asBoolean(), read.tied(), "tied");
    assertEquals(expected.get("kv_heads").asInt(), read.kvHeads());
    assertEquals(expected.get("head_dim").asInt(), read.headDim());
    assertEquals(
        expected.get("activation").asText().equals("silu")
            ? Architecture.Activation.SILU
            : Architecture.Activation.GELU_TANH,
        read.mlp().activation());
    for (var kind : expected.get("rope").propertyStream().toList()) {
      boolean slides = kind.getKey().equals("sliding_attention");
      var layer =
          read.layers().stream().filter(l -> l.window() > 0 == slides).findFirst().orElseThrow();
      sameAngles(name + " " + kind.getKey(), kind.getValue(), layer.rope());
    }
  }

  /** Angles at position 1 are the frequencies: their tangent tells them from the table. */
  private static void sameAngles(String what, JsonNode expected, Rope rope) {
    assertEquals(expected.get("factor").asDouble(), rope.attentionFactor(), 1e-12, what);
    for (boolean beyond : new boolean[] {false, true}) {
      var frequencies = beyond ? expected.path("long") : expected.get("frequencies");
      if (frequencies.isMissingNode()) {
        continue;
      }
      assertEquals(2 * frequencies.size(), rope.width(), what);
      float[] table;
      try (var scope = Scope.open()) {
        table = Tensors.floats(rope.table(2, beyond));
      }
      int width = rope.width();
      for (int i = 0; i < frequencies.size(); i++) {
        double cos = table[width + i] / rope.attentionFactor();
        double sin = table[3 * width + width / 2 + i] / rope.attentionFactor();
        double frequency = frequencies.get(i).asDouble();
        assertEquals(Math.cos(frequency), cos, 1e-6, what + " cos " + i);
        assertEquals(Math.sin(frequency), sin, Math.max(1e-9, 3e-6 * frequency), what + " " + i);
      }
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "llama-3.2 | architectures      | ['OtherForCausalLM'] | architectures names Other",
        "llama-3.2 | quantization_config| {'bits': 4}          | does not know quantization_config",
        "llama-3.2 | attention_dropout  | 0.1                  | attention_dropout is 0.1",
        "llama-3.2 | sliding_window     | 4096                 | does not know sliding_window",
        "llama-3.2 | hidden_act         | 'relu'               | activation relu is not computed",
        "llama-3.2 | head_dim           | 63                   | 63",
        "llama-3.2 | num_key_value_heads| 5                    | not a multiple",
        "llama-3.2 | hidden_size        | 'wide'               | hidden_size must be",
        "llama-3.2 | rope_scaling       | {'rope_type': 'dynamic', 'factor': 2} | rope type"
            + " dynamic",
        "llama-3.2 | rope_scaling  | {'rope_type': 'default', 'mrope_section': [1]} |"
            + " mrope_section",
        "qwen2.5   | attention_bias     | false                | attention_bias is false",
        "qwen2.5-yarn | layer_types     | ['full_attention']   | layer_types has 1 entries",
        "qwen2.5   | layer_types | ['sliding_attention','full_attention','full_attention',"
            + "'full_attention'] | there is no sliding_window",
        "gemma-2   | layer_types | ['chunked_attention','full_attention','full_attention',"
            + "'full_attention'] | chunked_attention",
        "gemma-3   | use_bidirectional_attention | true        | use_bidirectional_attention is"
            + " true",
        "gemma-3   | attn_logit_softcapping | 50               | attn_logit_softcapping is 50",
        "phi-3.5   | rope_scaling | {'type': 'longrope', 'short_factor': [1], 'long_factor': [1]}"
            + " | must have 48 numbers",
        "phi-4-mini| lm_head_bias       | true                 | lm_head_bias is true",
        "phi-3     | resid_pdrop        | 0.1                  | resid_pdrop is 0.1",
      })
  void refusesWhatItDoesNotCompute(String name, String key, String value, String message)
      throws Exception {
    ObjectNode config = GOLDEN.get(name).get("config").deepCopy();
    config.set(key, new ObjectMapper().readTree(value.replace('\'', '"')));
    var refused = assertThrows(HoldfastException.class, () -> Architecture.of(config, FOLDER));
    assertTrue(refused.getMessage().contains(message), refused.getMessage());
    assertTrue(refused.getMessage().contains("config.json"), refused.getMessage());
    assertEquals(ExitCode.INPUT, refused.exitCode());
  }
}
