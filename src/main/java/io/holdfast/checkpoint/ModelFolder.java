package io.holdfast.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.kernels.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.SequencedSet;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * A Hugging Face model folder: {@code config.json} and the weights, in one {@code
 * model.safetensors} or in shards that {@code model.safetensors.index.json} lists.
 *
 * <p>Weights are mapped, not read; what {@link Safetensors} says of the memory's life holds here.
 */
public final class ModelFolder implements AutoCloseable {
  /** The size of shard that {@code huggingface_hub} writes by default, in bytes. */
  public static final long SHARD_BYTES = 5_000_000_000L;

  static final String CONFIG = "config.json";
  static final String GENERATION_CONFIG = "generation_config.json";
  static final String WEIGHTS = "model.safetensors";
  static final String INDEX = "model.safetensors.index.json";

  private final Path path;
  private final ObjectNode config;
  private final Optional<ObjectNode> generationConfig;
  private final SequencedMap<String, Safetensors> home;
  private final List<Safetensors> files;
  private String hash;

  private ModelFolder(Path path, SequencedMap<String, Safetensors> home, List<Safetensors> files) {
    this.path = path;
    this.config = JsonFile.read(path.resolve(CONFIG));
    Path generation = path.resolve(GENERATION_CONFIG);
    this.generationConfig =
        Files.exists(generation) ? Optional.of(JsonFile.read(generation)) : Optional.empty();
    this.home = home;
    this.files = files;
  }

  /**
   * Opens a folder and validates the headers of its weights.
   *
   * @throws HoldfastException if a file is missing or malformed
   */
  public static ModelFolder open(Path folder) {
    if (!Files.exists(folder)) {
      AtomicFolder.recover(folder);
    }
    FolderCheck.model(folder);
    SequencedMap<String, Safetensors> home = new LinkedHashMap<>();
    List<Safetensors> files = new ArrayList<>();
    boolean opened = false;
    try {
      if (Files.exists(folder.resolve(WEIGHTS))) {
        Safetensors file = Safetensors.open(folder.resolve(WEIGHTS));
        files.add(file);
        file.names().forEach(name -> home.put(name, file));
      } else {
        openShards(folder, home, files);
      }
      ModelFolder model = new ModelFolder(folder, home, files);
      opened = true;
      return model;
    } finally {
      if (!opened) {
        files.forEach(Safetensors::close);
      }
    }
  }

  private static void openShards(
      Path folder, Map<String, Safetensors> home, List<Safetensors> files) {
    Path index = folder.resolve(INDEX);
    if (!(JsonFile.read(index).get("weight_map") instanceof ObjectNode map)) {
      throw HoldfastException.input(
          "%s: weight_map is missing or no object; copy the file again", index);
    }
    Map<String, Safetensors> shards = new TreeMap<>();
    for (var entry : map.properties()) {
      String name = entry.getKey();
      String shard = entry.getValue().asText();
      if (!entry.getValue().isTextual() || !shard.matches("[^/\\\\]+\\.safetensors")) {
        throw HoldfastException.input(
            "%s: tensor %s: %s is not the name of a .safetensors file in this folder",
            index, name, entry.getValue());
      }
      Path file = folder.resolve(shard);
      if (!Files.exists(file)) {
        throw HoldfastException.input(
            "%s: the shard %s is missing, it holds tensor %s; copy or download it too",
            index, shard, name);
      }
      Safetensors open = shards.get(shard);
      if (open == null) {
        open = Safetensors.open(file);
        shards.put(shard, open);
        files.add(open);
      }
      if (!open.names().contains(name)) {
        throw HoldfastException.input(
            "%s: tensor %s is said to be in %s, which does not hold it; index and shards are not"
                + " of one model, copy them again",
            index, name, shard);
      }
      home.put(name, open);
    }
  }

  /** The folder. */
  public Path path() {
    return path;
  }

  /** What {@code config.json} holds. */
  public JsonNode config() {
    return config;
  }

  /** What {@code generation_config.json} holds, where there is one. */
  public Optional<JsonNode> generationConfig() {
    return generationConfig.map(JsonNode.class::cast);
  }

  /** The tensors' names. */
  public SequencedSet<String> names() {
    return Collections.unmodifiableSequencedMap(home).sequencedKeySet();
  }

  /**
   * A tensor over its mapped file.
   *
   * @throws HoldfastException if there is no such tensor
   * @throws IllegalStateException after {@link #close()}
   */
  public TensorEntry tensor(String name) {
    Safetensors file = home.get(name);
    if (file == null) {
      throw HoldfastException.input(
          "%s: the weights lack tensor %s%s; is this the right architecture?",
          path, name, Names.nearest(name, home.keySet()));
    }
    return file.get(name);
  }

  /**
   * SHA-256 of the weights, in hexadecimal: of every tensor's name, type, shape and bytes, however
   * they are sharded. Reads all weights the first time.
   */
  public synchronized String hash() {
    if (hash == null) {
      hash = WeightsHash.of(home.keySet().stream().map(this::tensor).toList());
    }
    return hash;
  }

  /** Unmaps the weights; closing twice is allowed. */
  @Override
  public void close() {
    files.forEach(Safetensors::close);
  }

  /**
   * Writes or replaces, as a whole, a folder that {@code transformers} loads.
   *
   * @param folder the folder
   * @param config what {@code config.json} is to hold
   * @param tensors the weights
   * @param source the model folder whose tokenizer and generation settings are copied
   * @param maxShardBytes weights above this size are sharded; {@link #SHARD_BYTES} is usual
   * @throws HoldfastException if the disk is full or refuses; an old folder is still there then
   */
  public static void save(
      Path folder,
      JsonNode config,
      Iterable<TensorEntry> tensors,
      Path source,
      long maxShardBytes) {
    try (AtomicFolder building = AtomicFolder.create(folder)) {
      write(building.path(), config, tensors, maxShardBytes);
      copyTokenizer(source, building.path());
      building.commit();
    }
  }

  /** Writes configuration and weights into a folder that somebody else makes whole. */
  public static void write(
      Path folder, JsonNode config, Iterable<TensorEntry> tensors, long maxShardBytes) {
    JsonFile.write(folder.resolve(CONFIG), config);
    Shards.write(folder, tensors, maxShardBytes);
  }

  /**
   * A configuration that says how weights were changed.
   *
   * @param dtype of the weights, or empty where it stayed what it was
   * @param parted whether the head, which was the embedding, is a weight of its own now
   */
  public static JsonNode describing(JsonNode config, Optional<DType> dtype, boolean parted) {
    ObjectNode changed = config.deepCopy();
    dtype.ifPresent(
        type ->
            Stream.of("dtype", "torch_dtype")
                .filter(changed::has)
                .findFirst()
                .or(() -> Optional.of("dtype"))
                .ifPresent(key -> changed.put(key, type.name().toLowerCase(Locale.ROOT))));
    if (parted) {
      changed.put("tie_word_embeddings", false);
    }
    return changed;
  }

  /** Copies tokenizer, chat template and generation settings, those that are there. */
  public static void copyTokenizer(Path from, Path to) {
    try {
      for (String name : FolderCheck.COPIED) {
        if (Files.exists(from.resolve(name))) {
          Disk.copy(from.resolve(name), to.resolve(name));
        }
      }
    } catch (IOException e) {
      throw Disk.failure(to, e);
    }
  }
}
