package io.holdfast.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.model.Architecture;
import io.holdfast.model.Weights;
import io.holdfast.train.StepReport;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import org.junit.jupiter.api.Test;

/** Counts of two blocks of width 16 with 24 inside, 2 query heads of 8 over one of keys. */
class StepWorkTest {
  private static final int BLOCK = 2 * 16 * 16 + 2 * 16 * 8 + 3 * 16 * 24;
  private static final int HEAD = 100 * 16;
  private static final String Q =
      "base_model.model.model.layers.%d.self_attn.q_proj.lora_%s.weight";

  private static Architecture shape(boolean tied) throws Exception {
    var json =
        """
        {
          "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 100,
          "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
          "num_key_value_heads": 1, "head_dim": 8, "intermediate_size": 24,
          "hidden_act": "silu", "max_position_embeddings": 128, "rms_norm_eps": 1e-6,
          "rope_theta": 10000.0, "tie_word_embeddings": %s
        }
        """
            .formatted(tied);
    return Architecture.of(new ObjectMapper().readTree(json), Path.of("."));
  }

  private static SequencedMap<String, long[]> trained(Architecture shape, String without) {
    var all = new LinkedHashMap<>(Weights.shapes(shape));
    all.keySet().removeIf(name -> name.contains(without));
    return all;
  }

  @Test
  void trainingEverythingTakesSixOperationsForEachWeightAndToken() throws Exception {
    for (boolean tied : new boolean[] {true, false}) {
      var shape = shape(tied);
      var work = StepWork.of(shape, trained(shape, "nothing"));
      assertEquals(6 * 2 * BLOCK, work.perToken());
      assertEquals(6 * HEAD, work.perSupervised());
      assertEquals(32.0 * shape.parameters(), work.bytes());
    }
  }

  @Test
  void aFrozenEmbeddingLeavesOutItsGradientAndWhatTheFirstBlockHandsDown() throws Exception {
    var shape = shape(true);
    var work = StepWork.of(shape, trained(shape, "embed_tokens"));
    assertEquals((4 + 6) * BLOCK, work.perToken());
    assertEquals(4 * HEAD, work.perSupervised());
    assertEquals(32.0 * (shape.parameters() - HEAD), work.bytes());
  }

  @Test
  void anAdapterNeedsNoGradientsOfTheModelsWeights() throws Exception {
    var shape = shape(true);
    var factors =
        Map.of(Q.formatted(1, "A"), new long[] {4, 16}, Q.formatted(1, "B"), new long[] {16, 4});
    var work = StepWork.of(shape, factors);
    // Nothing below the second block needs a gradient: its own input does not either.
    assertEquals(2 * 2 * BLOCK + 4 * 2 * 4 * 16, work.perToken());
    assertEquals(4 * HEAD, work.perSupervised());
    assertEquals(32.0 * 2 * 4 * 16, work.bytes());
    assertEquals(
        (2 + 4) * BLOCK + 4 * 2 * 4 * 16,
        StepWork.of(
                shape,
                Map.of(
                    Q.formatted(0, "A"),
                    new long[] {4, 16},
                    Q.formatted(0, "B"),
                    new long[] {16, 4}))
            .perToken());
  }

  @Test
  void theHeadAloneNeedsOneForwardPass() throws Exception {
    var shape = shape(false);
    var work = StepWork.of(shape, Map.of("lm_head.weight", new long[] {100, 16}));
    assertEquals(2 * 2 * BLOCK, work.perToken());
    assertEquals(6 * HEAD, work.perSupervised());
  }

  @Test
  void theFloorAddsProductsAndOptimizer() {
    var step = new StepReport(1, 0, 0, 0, 10, 3, 1, Map.of());
    var work = new StepWork(100, 1000, 50);
    assertEquals(4000, work.operations(step));
    assertEquals(4 + 5, work.floor(step, new Ceiling(10, 1000)));
  }
}
