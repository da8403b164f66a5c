package io.holdfast.guard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.data.Example;
import io.holdfast.data.Place;
import io.holdfast.geometry.Basis;
import io.holdfast.geometry.PromptActivations;
import io.holdfast.geometry.TokenPosition;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.model.Architecture;
import io.holdfast.model.Decoder;
import io.holdfast.model.Weights;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReferenceCoefficientsTest {
  private static final int WIDTH = 16;
  private static final String CONFIG =
      """
      {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 50,
       "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
       "num_key_value_heads": 1, "head_dim": 8, "intermediate_size": 24, "hidden_act": "silu",
       "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
       "tie_word_embeddings": true}
      """;

  @TempDir Path folder;

  /** More rows than a batch has, of unlike lengths; every third has nothing to hold. */
  private static List<Example> rows() {
    var random = new SplittableRandom(2);
    var rows = new ArrayList<Example>();
    for (int i = 0; i < 80; i++) {
      int length = 4 + random.nextInt(20);
      rows.add(
          new Example(
              "row " + i,
              random.ints(length, 3, 50).toArray(),
              new boolean[length],
              i % 3 == 0 ? -1 : length - 3,
              i % 3 == 0 ? -1 : length - 1,
              Float.NaN,
              new Place(Path.of("rows"), i)));
    }
    return rows;
  }

  private static SafetySubspace subspace(long seed) {
    var layers = new TreeMap<Integer, SubspaceFit.Layer>();
    for (int layer : new int[] {0, 2}) {
      var basis = Basis.random(WIDTH, 3, seed + layer);
      layers.put(layer, new SubspaceFit.Layer(basis, 1, new double[WIDTH], new double[3], 0));
    }
    return SafetySubspace.of(layers, "test");
  }

  @Test
  void areTheReferencesStatesInTheSubspaceAndComputedOnce() throws Exception {
    var kernels = KernelBackends.select(Optional.empty());
    var architecture = Architecture.of(new ObjectMapper().readTree(CONFIG), folder);
    var file = folder.resolve("kept/coefficients.safetensors");
    GuardedPositions positions = TokenPosition.TEMPLATE::of;
    try (var decoder = new Decoder(architecture, Weights.random(architecture, 1));
        var subspace = subspace(7)) {
      var rows = rows();
      try (var kept =
          ReferenceCoefficients.of(file, "a", rows, positions, subspace, decoder, kernels)) {
        var held = rows.stream().filter(row -> row.promptEnd() >= 0).toList();
        for (int layer : subspace.layers()) {
          var ends =
              PromptActivations.capture(decoder, held, List.of(layer), Example::promptEnd)
                  .at(layer);
          for (int i = 0; i < held.size(); i++) {
            double[] expected = subspace.directions(layer).coefficients(ends[i]);
            double[] found = kept.of(layer, held.get(i), 3)[2];
            for (int k = 0; k < 3; k++) {
              assertEquals(expected[k], found[k], 1e-5);
            }
          }
        }
      }
      var made = FileTime.fromMillis(1000);
      Files.setLastModifiedTime(file, made);
      ReferenceCoefficients.of(file, "a", rows, positions, subspace, decoder, kernels).close();
      assertEquals(made, Files.getLastModifiedTime(file), "what is there is used again");
      ReferenceCoefficients.of(file, "b", rows, positions, subspace, decoder, kernels).close();
      assertNotEquals(made, Files.getLastModifiedTime(file), "of other data, it is not");
    }
  }
}
