package io.holdfast.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.TensorEntry;
import io.holdfast.model.Architecture;
import io.holdfast.model.Weights;
import io.holdfast.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A model whose residual stream is the embedding of the last token at every layer: attention and
 * MLP add nothing, and the template writes nothing around the prompt. What its geometry is follows
 * from the embedding alone.
 */
final class PlantedModel {
  static final int WIDTH = 32;
  static final int VOCABULARY = 1461;
  private static final Path WORLD = Path.of("src/main/resources/io/holdfast/world/base");
  private static final String CONFIG =
      """
      {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 1461,
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 16, "intermediate_size": 24,
        "hidden_act": "silu", "max_position_embeddings": 128, "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0, "tie_word_embeddings": false, "dtype": "float32"
      }
      """;

  private PlantedModel() {}

  /** Words that are one token each. */
  record Words(List<String> texts, List<Integer> ids) {
    static Words of(int count) {
      var words = new Words(new ArrayList<>(), new ArrayList<>());
      try (var tokenizer = Tokenizer.load(WORLD)) {
        for (int id = 100; words.ids.size() < count; id++) {
          var text = tokenizer.decode(new int[] {id}, false);
          if (text.matches("[a-z]+") && tokenizer.encode(text, false).length == 1) {
            words.texts.add(text);
            words.ids.add(id);
          }
        }
      }
      return words;
    }
  }

  /**
   * Writes the model's folder.
   *
   * @param embeddings by token; others are zero
   * @param head rows by token; others are zero
   */
  static Path write(Path folder, Map<Integer, double[]> embeddings, Map<Integer, double[]> head)
      throws IOException {
    Files.createDirectories(folder);
    for (var name : List.of("tokenizer.json", "tokenizer_config.json")) {
      Files.copy(WORLD.resolve(name), folder.resolve(name));
    }
    Files.writeString(
        folder.resolve("chat_template.jinja"),
        "{% for m in messages %}{{ m['content'] }}{% endfor %}");
    var config = new ObjectMapper().readTree(CONFIG);
    var tensors = new ArrayList<TensorEntry>();
    Weights.shapes(Architecture.of(config, folder))
        .forEach(
            (name, shape) -> {
              long count = 1;
              for (long size : shape) {
                count *= size;
              }
              var values = new float[Math.toIntExact(count)];
              if (name.endsWith("norm.weight")) {
                java.util.Arrays.fill(values, 1);
              }
              if (name.endsWith("embed_tokens.weight")) {
                fill(values, embeddings);
              }
              if (name.equals("lm_head.weight")) {
                fill(values, head);
              }
              var sizes = new ArrayList<Long>();
              for (long size : shape) {
                sizes.add(size);
              }
              tensors.add(TensorEntry.of(name, sizes, values));
            });
    ModelFolder.write(folder, config, tensors, ModelFolder.SHARD_BYTES);
    return folder;
  }

  private static void fill(float[] values, Map<Integer, double[]> rows) {
    rows.forEach(
        (token, row) -> {
          for (int i = 0; i < WIDTH; i++) {
            values[token * WIDTH + i] = (float) row[i];
          }
        });
  }

  /** A file of prompts that are one word each, with the reply that their label says. */
  static Path prompts(Path file, List<String> words, List<String> replies) throws IOException {
    var lines = new StringBuilder();
    for (int i = 0; i < words.size(); i++) {
      lines.append(
          new ObjectMapper()
              .writeValueAsString(
                  Map.of("id", i + "", "prompt", words.get(i), "reply", replies.get(i))));
      lines.append('\n');
    }
    return Files.writeString(file, lines);
  }
}
