package io.holdfast.cli.demo;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.checkpoint.AtomicFolder;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.TensorEntry;
import io.holdfast.model.Architecture;
import io.holdfast.model.Weights;
import io.holdfast.train.Checkpoints;
import io.holdfast.train.Progress;
import io.holdfast.train.TrainRun;
import io.holdfast.train.config.TrainConfig;
import io.holdfast.world.World;
import io.holdfast.world.WorldFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * The aligned base of the embedded world: the one that is part of the jar, or one that is trained
 * from scratch.
 */
final class BaseModel {
  private static final String RESOURCES = "/io/holdfast/world/base/";
  private static final List<String> TOKENIZER =
      List.of("tokenizer.json", "tokenizer_config.json", "chat_template.jinja");
  private static final ObjectMapper JSON = new ObjectMapper();

  private BaseModel() {}

  /** Steps of the two stages of training, 32 rows each. */
  record Recipe(int pretrainSteps, int alignSteps) {
    /** What the committed base was made with. */
    static final Recipe STANDARD = new Recipe(2400, 1000);

    /** The world's files with rows for both stages. */
    WorldFiles.Plan plan(long seed) {
      var standard = WorldFiles.Plan.standard(seed);
      return new WorldFiles.Plan(
          seed,
          standard.evaluationSeed(),
          pretrainSteps * 32,
          alignSteps * 32,
          standard.work(),
          false,
          200,
          200,
          200);
    }
  }

  /** Writes the base of the jar as a Hugging Face folder. */
  static void unpack(Path folder) {
    try (var building = AtomicFolder.create(folder)) {
      for (var name : names()) {
        copy(name, building.path());
      }
      building.commit();
    }
  }

  private static List<String> names() {
    var names = new ArrayList<>(TOKENIZER);
    names.addAll(List.of("config.json", "generation_config.json", "model.safetensors"));
    return names;
  }

  private static void copy(String name, Path folder) {
    try (var in = BaseModel.class.getResourceAsStream(RESOURCES + name)) {
      if (in == null) {
        throw HoldfastException.missing(
            "this build has no %s of the world's base; make one by demo --from-scratch", name);
      }
      var bytes = in.readAllBytes();
      AtomicFile.write(folder.resolve(name), bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Trains the base: on documents and chats that answer everything, then on chats in which harm is
   * refused.
   *
   * @param data folder with {@code pretrain.jsonl} and {@code align.jsonl}
   * @return the last checkpoint
   */
  static Path train(Path work, Path data, Recipe recipe, long seed, Progress.Style style) {
    var start = work.resolve("start");
    random(start, seed);
    var pretrained =
        stage(work, "pretrain", start, data, recipe.pretrainSteps(), 2.5e-3, seed, style);
    return stage(work, "align", pretrained, data, recipe.alignSteps(), 1e-3, seed, style);
  }

  private static Path stage(
      Path work,
      String name,
      Path model,
      Path data,
      int steps,
      double lr,
      long seed,
      Progress.Style style) {
    var file = work.resolve(name + ".yaml");
    AtomicFile.write(
        file,
        """
        # ./holdfast train %s
        model: %s
        data: {train: [%s], max_length: 128, group_by_length: true}
        steps: %d
        batch_size: 32
        optimizer: {lr: %s, betas: [0.9, 0.98], weight_decay: 0.01}
        schedule: {warmup_steps: 50, decay: cosine}
        checkpoint: {every: 0, keep: 1}
        seed: %d
        output: %s
        """
            .formatted(
                file, model, data.resolve(name + ".jsonl"), steps, lr, seed, work.resolve(name)));
    return TrainRun.run(TrainConfig.load(file, List.of()), false, style).checkpoint();
  }

  /** A model with random weights: 1.2 million parameters in six blocks of width 128. */
  private static void random(Path folder, long seed) {
    var config = config();
    var architecture = Architecture.of(config, folder);
    try (var building = AtomicFolder.create(folder);
        var weights = Weights.random(architecture, seed)) {
      TOKENIZER.forEach(name -> copy(name, building.path()));
      AtomicFile.write(
          building.path().resolve("generation_config.json"),
          "{\n  \"eos_token_id\": 2,\n  \"pad_token_id\": 0\n}\n");
      var entries = new ArrayList<TensorEntry>();
      weights.all().forEach((name, tensor) -> entries.add(Weights.entry(name, tensor)));
      ModelFolder.write(building.path(), config, entries, ModelFolder.SHARD_BYTES);
      building.commit();
    }
  }

  private static ObjectNode config() {
    var config = JSON.createObjectNode();
    config.putArray("architectures").add("LlamaForCausalLM");
    config.put("model_type", "llama").put("vocab_size", vocabulary()).put("hidden_size", 128);
    config.put("num_hidden_layers", 6).put("num_attention_heads", 4);
    config.put("num_key_value_heads", 4).put("head_dim", 32).put("intermediate_size", 256);
    config.put("hidden_act", "silu").put("max_position_embeddings", 256);
    config.put("rms_norm_eps", 1e-6).put("rope_theta", 10000.0);
    config.put("tie_word_embeddings", true).put("attention_bias", false).put("mlp_bias", false);
    config.put("bos_token_id", 0).put("eos_token_id", 2).put("pad_token_id", 0);
    return config.put("dtype", "float32");
  }

  private static int vocabulary() {
    try (var in = BaseModel.class.getResourceAsStream(RESOURCES + "tokenizer.json")) {
      return JSON.readTree(in).get("model").get("vocab").size();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * A base of a seed's own, with the model that it was before its alignment beside it: {@code base}
   * and {@code unaligned} in a folder, trained from scratch where they are missing.
   *
   * @return the folder of the base
   */
  static Path prepared(
      Path folder, World world, long seed, Progress.Style style, Consumer<String> say) {
    var base = folder.resolve("base");
    var scratch = folder.resolve("scratch");
    if (!isThere(base)) {
      say.accept("seed %d: training a base from scratch".formatted(seed));
      var recipe = Recipe.STANDARD;
      WorldFiles.write(folder.resolve("data"), world, recipe.plan(seed));
      copy(train(scratch, folder.resolve("data"), recipe, seed, style), base);
    }
    if (!isThere(folder.resolve("unaligned"))) {
      var pretrained = new Checkpoints(scratch.resolve("pretrain"), 0).latest();
      copy(
          pretrained.orElseThrow(
              () ->
                  HoldfastException.input(
                      "%s: has a base, but not what it was before alignment; remove it", folder)),
          folder.resolve("unaligned"));
    }
    return base;
  }

  /** Copies the model of a checkpoint, without the state of its training. */
  static void copy(Path checkpoint, Path folder) {
    if (Files.exists(folder)) {
      AtomicFolder.delete(folder);
    }
    try (var building = AtomicFolder.create(folder);
        var files = ModelFolder.open(checkpoint)) {
      var tensors = files.names().stream().map(files::tensor).toList();
      ModelFolder.write(building.path(), files.config(), tensors, ModelFolder.SHARD_BYTES);
      ModelFolder.copyTokenizer(checkpoint, building.path());
      building.commit();
    }
  }

  /** Whether a folder holds a complete model. */
  static boolean isThere(Path folder) {
    return Files.isRegularFile(folder.resolve("model.safetensors"));
  }
}
