package io.holdfast.checkpoint;

import io.holdfast.HoldfastException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;

/**
 * A LoRA in PEFT's files: {@code adapter_config.json} and {@code adapter_model.safetensors}.
 *
 * <p>The module {@code model.layers.0.self_attn.q_proj} has the tensors {@code
 * base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight} of shape {@code [r, in]} and
 * {@code ...lora_B.weight} of shape {@code [out, r]}; what {@link Safetensors} says of the memory's
 * life holds here.
 */
public final class AdapterFolder implements AutoCloseable {
  static final String CONFIG = "adapter_config.json";
  static final String WEIGHTS = "adapter_model.safetensors";

  private static final String PREFIX = "base_model.model.";
  private static final String A = ".lora_A.weight";
  private static final String B = ".lora_B.weight";

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
  private final SequencedMap<String, Update> updates;

  private AdapterFolder(Path path, LoraConfig config, Safetensors file) {
    this.path = path;
    this.config = config;
    this.file = file;
    this.updates = pair(file, config.rank());
  }

  /** The name of A of a module in the file. */
  public static String nameOfA(String module) {
    return PREFIX + module + A;
  }

  /** The name of B of a module in the file. */
  public static String nameOfB(String module) {
    return PREFIX + module + B;
  }

  /**
   * The module that a tensor in the file belongs to.
   *
   * @throws IllegalArgumentException if the name is not one of {@link #nameOfA}, {@link #nameOfB}
   */
  public static String module(String tensor) {
    if (!tensor.startsWith(PREFIX) || !(tensor.endsWith(A) || tensor.endsWith(B))) {
      throw new IllegalArgumentException("not a tensor of a LoRA: " + tensor);
    }
    return tensor.substring(PREFIX.length(), tensor.length() - A.length());
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
    LoraConfig config = LoraConfig.read(folder.resolve(CONFIG));
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

  private static SequencedMap<String, Update> pair(Safetensors file, int rank) {
    SequencedMap<String, Update> updates = new LinkedHashMap<>();
    for (String name : file.names()) {
      String module;
      try {
        module = module(name);
      } catch (IllegalArgumentException e) {
        throw HoldfastException.input(
                "%s: tensor %s: only %s...%s and %s are supported; merge the adapter with peft"
                    + " instead",
                file.file(), name, PREFIX, A, B)
            .causedBy(e);
      }
      for (String half : List.of(nameOfA(module), nameOfB(module))) {
        if (!file.names().contains(half)) {
          throw HoldfastException.input(
              "%s: tensor %s has no counterpart %s; save the adapter again",
              file.file(), name, half);
        }
      }
      updates.computeIfAbsent(
          module, key -> checked(file, key, file.get(nameOfA(key)), file.get(nameOfB(key)), rank));
    }
    return updates;
  }

  private static Update checked(
      Safetensors file, String module, TensorEntry a, TensorEntry b, int rank) {
    boolean fits =
        a.shape().size() == 2
            && b.shape().size() == 2
            && a.shape().getFirst() == rank
            && b.shape().getLast() == rank;
    if (!fits) {
      throw HoldfastException.input(
          "%s: module %s: A %s and B %s do not fit r = %d of %s; they must be [r, in] and [out, r]",
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

  /** Unmaps the weights; closing twice is allowed. */
  @Override
  public void close() {
    file.close();
  }

  /**
   * Writes or replaces, as a whole, a folder that {@code peft} loads.
   *
   * @throws HoldfastException if the disk is full or refuses; an old folder is still there then
   */
  public static void save(Path folder, LoraConfig config, Collection<Update> updates) {
    try (AtomicFolder building = AtomicFolder.create(folder)) {
      write(building.path(), config, updates);
      building.commit();
    }
  }

  /** Writes both files into a folder that somebody else makes whole. */
  public static void write(Path folder, LoraConfig config, Collection<Update> updates) {
    List<TensorEntry> tensors = new ArrayList<>();
    for (Update update : updates) {
      tensors.add(update.a().named(nameOfA(update.module())));
      tensors.add(update.b().named(nameOfB(update.module())));
    }
    config.write(folder.resolve(CONFIG));
    SafetensorsWriter.write(folder.resolve(WEIGHTS), tensors, SafetensorsWriter.MODEL_METADATA);
  }
}
