package io.holdfast.checkpoint;

import io.holdfast.HoldfastException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;

/**
 * A LoRA in PEFT's files: {@code adapter_config.json} and {@code adapter_model.safetensors}.
 *
 * <p>The module {@code model.layers.0.self_attn.q_proj} has the tensors {@code
 * base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight} of shape {@code [r, in]} and
 * {@code ...lora_B.weight} of shape {@code [out, r]}; a weight that is kept in full, such as {@code
 * lm_head.weight}, is {@code base_model.model.lm_head.weight}. What {@link Safetensors} says of the
 * memory's life holds here.
 */
public final class AdapterFolder implements AutoCloseable {
  /** The file that says what is adapted, and how. */
  public static final String CONFIG = "adapter_config.json";

  /** The file of its tensors. */
  public static final String WEIGHTS = "adapter_model.safetensors";

  private static final String PREFIX = "base_model.model.";
  private static final String A = ".lora_A.weight";
  private static final String B = ".lora_B.weight";

  /** Where the file says which weights it belongs to; PEFT does not look there. */
  private static final String BASE_HASH = "base_sha256";

  /**
   * What an adapter adds to one module: {@code scale * B A}.
   *
   * @param module full name, such as {@code model.layers.0.self_attn.q_proj}
   * @param a {@code [r, in]}
   * @param b {@code [out, r]}
   */
  public record Update(String module, TensorEntry a, TensorEntry b) {}

  private final Path path;
  private final LoraConfig config;
  private final Safetensors file;
  private final SequencedMap<String, Update> updates = new LinkedHashMap<>();
  private final SequencedMap<String, TensorEntry> saved = new LinkedHashMap<>();

  private AdapterFolder(Path path, LoraConfig config, Safetensors file) {
    this.path = path;
    this.config = config;
    this.file = file;
    file.names().forEach(this::sort);
  }

  /** The name of A of a module in the file. */
  public static String nameOfA(String module) {
    return PREFIX + module + A;
  }

  /** The name of B of a module in the file. */
  public static String nameOfB(String module) {
    return PREFIX + module + B;
  }

  /** The name in the file of a weight that is kept in full. */
  public static String nameOfSaved(String weight) {
    return PREFIX + weight;
  }

  /** The model's name of a weight under which an adapter may hold it; others stay as they are. */
  public static String weight(String name) {
    return name.startsWith(PREFIX) ? name.substring(PREFIX.length()) : name;
  }

  /**
   * Opens an adapter.
   *
   * @throws HoldfastException if a file is missing or malformed, an option is not supported, or the
   *     tensors do not fit together
   */
  public static AdapterFolder open(Path folder) {
    if (!Files.exists(folder)) {
      AtomicFolder.recover(folder);
    }
    FolderCheck.adapter(folder);
    LoraConfig config = LoraConfigReader.read(folder.resolve(CONFIG));
    Safetensors file = Safetensors.open(folder.resolve(WEIGHTS));
    boolean opened = false;
    try {
      AdapterFolder adapter = new AdapterFolder(folder, config, file);
      opened = true;
      return adapter;
    } finally {
      if (!opened) {
        file.close();
      }
    }
  }

  /** Puts a tensor of the file where it belongs. */
  private void sort(String name) {
    var half = List.of(A, B).stream().filter(name::endsWith).findFirst();
    if (half.isPresent() && name.startsWith(PREFIX)) {
      var module = name.substring(PREFIX.length(), name.length() - half.get().length());
      updates.computeIfAbsent(module, this::update);
    } else if (name.startsWith(PREFIX) && config.saved().mayHold(name.substring(PREFIX.length()))) {
      var weight = name.substring(PREFIX.length());
      saved.put(weight, file.get(name).named(weight));
    } else {
      throw HoldfastException.input(
          "%s: tensor %s: only %s...%s, %s and weights of modules_to_save are supported; save the"
              + " adapter without embedding layers, or merge it with peft",
          file.file(), name, PREFIX, A, B);
    }
  }

  private Update update(String module) {
    for (String half : List.of(nameOfA(module), nameOfB(module))) {
      if (!file.names().contains(half)) {
        throw HoldfastException.input(
            "%s: module %s has no tensor %s; save the adapter again", file.file(), module, half);
      }
    }
    var a = file.get(nameOfA(module));
    var b = file.get(nameOfB(module));
    long rank = config.scaling().rank(module);
    boolean fits =
        a.shape().size() == 2
            && b.shape().size() == 2
            && a.shape().getFirst() == rank
            && b.shape().getLast() == rank;
    if (!fits) {
      throw HoldfastException.input(
          "%s: module %s: A %s and B %s do not fit the rank %d of %s; they must be [r, in] and"
              + " [out, r]",
          file.file(), module, a.shape(), b.shape(), rank, CONFIG);
    }
    return new Update(module, a, b);
  }

  /** The folder. */
  public Path path() {
    return path;
  }

  /** How the adapter was made. */
  public LoraConfig config() {
    return config;
  }

  /** The updates by their module's name. */
  public SequencedMap<String, Update> updates() {
    return Collections.unmodifiableSequencedMap(updates);
  }

  /** The weights that are kept in full, by their names in the model. */
  public SequencedMap<String, TensorEntry> saved() {
    return Collections.unmodifiableSequencedMap(saved);
  }

  /** {@link ModelFolder#hash} of the base, if whoever wrote the adapter left it. */
  public Optional<String> baseHash() {
    return Optional.ofNullable(file.metadata().get(BASE_HASH));
  }

  /** Every tensor by its name in the file. */
  public SequencedMap<String, TensorEntry> tensors() {
    var tensors = new LinkedHashMap<String, TensorEntry>();
    file.names().forEach(name -> tensors.put(name, file.get(name)));
    return tensors;
  }

  /** Unmaps the weights; closing twice is allowed. */
  @Override
  public void close() {
    file.close();
  }

  /**
   * Writes or replaces, as a whole, a folder that {@code peft} loads.
   *
   * @param tensors by their names in the file
   * @throws HoldfastException if the disk is full or refuses; an old folder is still there then
   */
  public static void save(
      Path folder, LoraConfig config, Collection<TensorEntry> tensors, Optional<String> baseHash) {
    try (AtomicFolder building = AtomicFolder.create(folder)) {
      write(building.path(), config, tensors, baseHash);
      building.commit();
    }
  }

  /** Writes both files into a folder that somebody else makes whole. */
  public static void write(
      Path folder, LoraConfig config, Collection<TensorEntry> tensors, Optional<String> baseHash) {
    var metadata = new HashMap<>(SafetensorsWriter.MODEL_METADATA);
    baseHash.ifPresent(hash -> metadata.put(BASE_HASH, hash));
    LoraConfigWriter.write(folder.resolve(CONFIG), config);
    SafetensorsWriter.write(folder.resolve(WEIGHTS), tensors, metadata);
  }
}
