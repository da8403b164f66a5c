package io.holdfast.model;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AdapterFolder;
import io.holdfast.checkpoint.LoraConfig;
import io.holdfast.checkpoint.SavedModules;
import io.holdfast.checkpoint.TensorEntry;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.GeneratorOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * A decoder with a LoRA, in PEFT's files and names: low-rank updates of linear maps, and copies of
 * modules that are trained in full.
 *
 * <p>It shares all other weights with its base, which stays as it is, and which it closes with
 * itself.
 */
public final class AdaptedDecoder implements AutoCloseable {
  /**
   * How the A of a new adapter is drawn; its B is zero, so that the model is unchanged at first.
   */
  public enum Start {
    /** Uniform in {@code +-1/sqrt(in)}, PEFT's default. */
    KAIMING,
    /** Normal with deviation {@code 1/r}. */
    GAUSSIAN
  }

  private final Decoder base;
  private final Decoder decoder;
  private final LoraConfig config;
  private final SavedCopies saved;

  private AdaptedDecoder(
      Decoder base, LoraConfig config, SequencedMap<String, LowRank> updates, SavedCopies saved) {
    this.base = base;
    this.config = config;
    this.saved = saved;
    this.decoder =
        new Decoder(base.architecture(), base.weights().with(saved.replacements(), base));
    decoder.attach(updates);
  }

  /**
   * A new adapter, which changes nothing yet.
   *
   * @throws HoldfastException if a target names no projection of the model
   */
  public static AdaptedDecoder create(Decoder base, LoraConfig config, Start start, long seed) {
    var modules = modules(base, config);
    try (var scope = Scope.open()) {
      torch.manual_seed(seed);
      var updates = new LinkedHashMap<String, LowRank>();
      for (var module : modules) {
        var weight = base.projections().get(module).weight();
        int rank = config.scaling().rank(module);
        var a = Tensors.emptyOnHost(ScalarType.Float, rank, weight.size(1));
        double bound = 1 / Math.sqrt(weight.size(1));
        switch (start) {
          case KAIMING -> a.uniform_(-bound, bound, new GeneratorOptional());
          case GAUSSIAN -> a.normal_(0, 1.0 / rank, new GeneratorOptional());
        }
        var b = Tensors.zeros(weight.size(0), rank);
        updates.put(module, update(module, Tensors.placed(a), b, config));
      }
      var saved =
          SavedCopies.of(
              base, config.saved(), name -> SavedCopies.original(base, name).detach().clone());
      return new AdaptedDecoder(base, config, updates, saved);
    }
  }

  /**
   * The model of a Hugging Face folder with the adapter of a PEFT folder.
   *
   * @throws HoldfastException if they do not fit
   */
  public static AdaptedDecoder load(Path model, Path adapter) {
    var base = Decoder.load(model);
    try {
      return load(base, adapter);
    } catch (RuntimeException e) {
      base.close();
      throw e;
    }
  }

  /**
   * The adapter of a PEFT folder.
   *
   * @throws HoldfastException if it does not fit the model
   */
  public static AdaptedDecoder load(Decoder base, Path folder) {
    try (var files = AdapterFolder.open(folder);
        var scope = Scope.open()) {
      var config = files.config();
      var updates = new LinkedHashMap<String, LowRank>();
      for (var update : files.updates().values()) {
        var projection = base.projections().get(update.module());
        if (projection == null) {
          throw HoldfastException.input(
              "%s: the adapter changes %s, which %s; it belongs to another model",
              folder,
              update.module(),
              update.module().equals("lm_head")
                  ? "Holdfast trains in full alone (modules_to_save)"
                  : "this model does not have");
        }
        var weight = projection.weight();
        int rank = config.scaling().rank(update.module());
        check(folder, update.a(), rank, weight.size(1));
        check(folder, update.b(), weight.size(0), rank);
        updates.put(
            update.module(),
            update(update.module(), floats(update.a()), floats(update.b()), config));
      }
      requireSaved(base, files);
      var saved = SavedCopies.of(base, config.saved(), name -> copy(base, files, name));
      return new AdaptedDecoder(base, config, updates, saved);
    }
  }

  private static LowRank update(String module, Tensor a, Tensor b, LoraConfig config) {
    return new LowRank(a, b, config.scaling().factor(module), config.dropout());
  }

  /** The modules that a configuration adapts, in the order of the forward pass. */
  private static List<String> modules(Decoder base, LoraConfig config) {
    var all = base.projections().keySet();
    var chosen = all.stream().filter(config::adapts).toList();
    if (chosen.isEmpty()) {
      throw HoldfastException.usage(
          "tune.lora.targets: %s selects no projection of the model; it has %s",
          config.targets().names(),
          all.stream()
              .map(module -> module.substring(module.lastIndexOf('.') + 1))
              .distinct()
              .collect(Collectors.joining(", ")));
    }
    for (var name : config.saved().names()) {
      var alone = new SavedModules(List.of(name), false);
      if (!name.equals("lm_head")
          && base.weights().all().keySet().stream().noneMatch(alone::select)) {
        throw HoldfastException.usage(
            "tune.lora.modules_to_save: %s names no module of the model; it has embed_tokens,"
                + " lm_head, model.norm and those of its layers",
            name);
      }
    }
    chosen.stream()
        .filter(module -> config.saved().select(module + ".weight"))
        .findFirst()
        .ifPresent(
            module -> {
              throw HoldfastException.usage(
                  "tune.lora: %s is both a target and one of modules_to_save %s; name it in one of"
                      + " them",
                  module, config.saved().names());
            });
    return chosen;
  }

  /** Refuses a file that does not hold exactly what its modules_to_save are in this model. */
  private static void requireSaved(Decoder base, AdapterFolder files) {
    var modules = files.config().saved();
    var missing = new TreeSet<>(SavedCopies.names(base, modules));
    var surplus = new TreeSet<>(files.saved().keySet());
    surplus.removeAll(missing);
    missing.removeAll(files.saved().keySet());
    if (!surplus.isEmpty() || !missing.isEmpty()) {
      throw HoldfastException.input(
          "%s: modules_to_save %s and the file's tensors do not belong to this model: %s %s",
          files.path(),
          modules.names(),
          missing.isEmpty() ? surplus.first() : missing.first(),
          missing.isEmpty() ? "is not in the model" : "is not in the file");
    }
  }

  private static Tensor copy(Decoder base, AdapterFolder files, String name) {
    var entry = files.saved().get(name);
    check(files.path(), entry, SavedCopies.shape(base, name));
    return floats(entry).to(Tensors.scalarType(base.weights().dtype()));
  }

  private static void check(Path folder, TensorEntry entry, long... shape) {
    if (!Arrays.equals(entry.sizes(), shape)) {
      throw HoldfastException.input(
          "%s: tensor %s has shape %s, the model asks for %s; the adapter belongs to another model",
          folder, entry.name(), entry.shape(), Arrays.toString(shape));
    }
  }

  private static Tensor floats(TensorEntry entry) {
    var shared = Tensors.sharing(entry.data(), entry.dtype(), entry.sizes());
    return Tensors.placed(shared).to(ScalarType.Float).clone();
  }

  /** The model with the adapter. */
  public Decoder decoder() {
    return decoder;
  }

  /** The model without it. */
  public Decoder base() {
    return base;
  }

  /** The weights that are trained in full, by their names in the model. */
  SequencedMap<String, Tensor> saved() {
    return saved.byName();
  }

  /** How the adapter was made. */
  public LoraConfig config() {
    return config;
  }

  /**
   * The trainable tensors by PEFT's names, updates first, in the order of the forward pass. Updates
   * are float32, what is trained in full has the type of the base.
   */
  public SequencedMap<String, Tensor> parameters() {
    return tensors(saved.trained());
  }

  private SequencedMap<String, Tensor> tensors(SequencedMap<String, Tensor> copies) {
    var tensors = new LinkedHashMap<String, Tensor>();
    decoder
        .adapters()
        .forEach(
            (module, update) -> {
              tensors.put(AdapterFolder.nameOfA(module), update.a());
              tensors.put(AdapterFolder.nameOfB(module), update.b());
            });
    copies.forEach((name, tensor) -> tensors.put(AdapterFolder.nameOfSaved(name), tensor));
    return tensors;
  }

  /**
   * Writes the adapter as a PEFT folder into an existing folder.
   *
   * @param baseHash of the base's folder, so that the adapter is not merged into another
   */
  public void write(Path folder, Optional<String> baseHash) {
    var entries =
        tensors(saved.byName()).entrySet().stream()
            .map(tensor -> Weights.entry(tensor.getKey(), tensor.getValue()))
            .toList();
    AdapterFolder.write(folder, config, entries, baseHash);
  }

  /** The same model as weights in memory of their own, {@code W + scale B A} in float32. */
  public Decoder merged() {
    var weights = decoder.weights().copy();
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      decoder
          .adapters()
          .forEach((module, update) -> weights.get(module + ".weight").add_(update.product()));
    }
    return new Decoder(decoder.architecture(), weights);
  }

  /** Closes the base, too. */
  @Override
  public void close() {
    decoder.close();
  }
}
