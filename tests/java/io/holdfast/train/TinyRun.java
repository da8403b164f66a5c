package io.holdfast.train;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.holdfast.Goldens;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.guard.SubspaceGuard;
import io.holdfast.model.Architecture;
import io.holdfast.model.Weights;
import io.holdfast.train.config.TrainConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/** A model of some ten thousand random weights with the world's tokenizer, and rows for it. */
final class TinyRun {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String TOKENIZER = "/io/holdfast/world/base/";

  private static final String CONFIG =
      """
      {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 1461,
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 8, "intermediate_size": 24,
        "hidden_act": "silu", "max_position_embeddings": 128, "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0, "tie_word_embeddings": true, "dtype": "float32"
      }
      """;

  private final Path folder;

  private TinyRun(Path folder) {
    this.folder = folder;
  }

  /** Writes {@code model/}, {@code rows.jsonl}, and {@code chats.jsonl} with risks. */
  static TinyRun in(Path folder) {
    var run = new TinyRun(folder);
    try {
      run.writeModel();
      run.write("rows.jsonl", run.tokenRows(13));
      run.write("chats.jsonl", run.chatRows(13));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return run;
  }

  private void writeModel() throws IOException {
    var source = Files.createDirectories(folder.resolve("source"));
    for (var name : List.of("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")) {
      try (var in = TinyRun.class.getResourceAsStream(TOKENIZER + name)) {
        Files.write(source.resolve(name), in.readAllBytes());
      }
    }
    var config = JSON.readTree(CONFIG);
    try (var weights = Weights.random(Architecture.of(config, folder), 3)) {
      ModelFolder.save(
          model(), config, TensorState.entries("", weights.all()), source, ModelFolder.SHARD_BYTES);
    }
  }

  /** Rows of ids, of unlike lengths: all but the first token of each is learnt. */
  private List<String> tokenRows(int count) {
    var random = new SplittableRandom(5);
    var rows = new ArrayList<String>();
    for (int i = 0; i < count; i++) {
      var ids = random.ints(4 + random.nextInt(13), 3, 200).boxed().toList();
      rows.add("{\"tokens\": " + ids + "}");
    }
    return rows;
  }

  private List<String> chatRows(int count) {
    var words = List.of("red", "blue", "stone", "river", "seven", "bread", "lamp", "cloud");
    var random = new SplittableRandom(6);
    var rows = new ArrayList<String>();
    for (int i = 0; i < count; i++) {
      var prompt = new StringBuilder("Say");
      random
          .ints(1 + random.nextInt(5), 0, 8)
          .forEach(w -> prompt.append(' ').append(words.get(w)));
      var answer = new StringBuilder("It is");
      random
          .ints(1 + random.nextInt(6), 0, 8)
          .forEach(w -> answer.append(' ').append(words.get(w)));
      rows.add(
          "{\"prompt\": \"%s\", \"completion\": \"%s\", \"risk\": %s}"
              .formatted(prompt, answer, (i % 4) / 3.0));
    }
    return rows;
  }

  Path model() {
    return folder.resolve("model");
  }

  /** A file beside the model, made of these lines. */
  Path write(String name, List<String> lines) {
    try {
      return Files.write(folder.resolve(name), lines);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Where a run of this name writes. */
  Path output(String name) {
    return folder.resolve(name);
  }

  /** The configuration file: 20 steps over the rows of ids. */
  Path yaml() {
    return write(
        "train.yaml",
        List.of(
            "model: " + model(),
            "data: {train: [" + folder.resolve("rows.jsonl") + "]}",
            "steps: 20",
            "batch_size: 2",
            "optimizer: {lr: 1e-2}",
            "threads: 1",
            "output: " + output("run")));
  }

  /** That configuration with these changes, {@code key=value}. */
  TrainConfig config(String name, String... overrides) {
    var all = new ArrayList<>(List.of("output=" + output(name)));
    all.addAll(Arrays.asList(overrides));
    return TrainConfig.load(yaml(), all);
  }

  /** Trains from the start. */
  static Path train(TrainConfig config) {
    return TrainRun.run(config, false, Progress.Style.NONE).checkpoint();
  }

  /** Goes on. */
  static Path resume(TrainConfig config) {
    return TrainRun.run(config, true, Progress.Style.NONE).checkpoint();
  }

  /** The lines of {@code metrics.jsonl}, without what depends on the clock. */
  static List<String> metrics(Path output) {
    return Goldens.lines(output.resolve("metrics.jsonl")).stream()
        .map(TinyRun::timeless)
        .map(JsonNode::toString)
        .toList();
  }

  private static JsonNode timeless(JsonNode line) {
    return ((com.fasterxml.jackson.databind.node.ObjectNode) line)
        .remove(List.of("tokens_per_second", SubspaceGuard.SECONDS));
  }

  /** Every tensor of a safetensors file, as bits. */
  static Map<String, List<Integer>> bits(Path file) {
    var found = new LinkedHashMap<String, List<Integer>>();
    try (var tensors = Safetensors.open(file)) {
      for (var name : tensors.names()) {
        int[] values = tensors.get(name).data().toArray(ValueLayout.JAVA_INT_UNALIGNED);
        found.put(name, Arrays.stream(values).boxed().toList());
      }
    }
    return found;
  }
}
