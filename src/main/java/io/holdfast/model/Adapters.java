package io.holdfast.model;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AdapterFolder;
import io.holdfast.checkpoint.LoraConfig;
import io.holdfast.checkpoint.TensorEntry;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.GeneratorOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/** Low-rank adapters of a decoder, in PEFT's files and names. */
public final class Adapters {
  private Adapters() {}

  /**
   * Attaches new adapters: A uniform in {@code +-1/sqrt(in)} (PEFT's Kaiming initialisation), B
   * zero, so that the model is unchanged at first.
   *
   * @throws HoldfastException if a target names no projection of the model
   */
  public static void create(Decoder decoder, LoraConfig config, long seed) {
    var modules = targets(decoder, config);
    try (var scope = Scope.open()) {
      torch.manual_seed(seed);
      var adapters = new LinkedHashMap<String, LowRank>();
      for (var module : modules) {
        var weight = decoder.projections().get(module).weight();
        double bound = 1 / Math.sqrt(weight.size(1));
        var a = Tensors.empty(config.rank(), weight.size(1));
        a.uniform_(-bound, bound, new GeneratorOptional());
        var b = Tensors.zeros(weight.size(0), config.rank());
        adapters.put(module, new LowRank(a, b, config.scale(), config.dropout()));
      }
      decoder.attach(adapters);
    }
  }

  /**
   * Attaches the adapters of a PEFT folder.
   *
   * @throws HoldfastException if they do not fit the model
   */
  public static LoraConfig load(Decoder decoder, Path folder) {
    try (var files = AdapterFolder.open(folder);
        var scope = Scope.open()) {
      var config = files.config();
      var adapters = new LinkedHashMap<String, LowRank>();
      for (var update : files.updates().values()) {
        var projection = decoder.projections().get(update.module());
        if (projection == null) {
          throw HoldfastException.input(
              "%s: the adapter changes %s, which this model does not have",
              folder, update.module());
        }
        var weight = projection.weight();
        check(folder, update.a(), config.rank(), weight.size(1));
        check(folder, update.b(), weight.size(0), config.rank());
        adapters.put(
            update.module(),
            new LowRank(floats(update.a()), floats(update.b()), config.scale(), config.dropout()));
      }
      decoder.attach(adapters);
      return config;
    }
  }

  /** Writes the decoder's adapters as a PEFT folder into an existing folder. */
  public static void write(Decoder decoder, LoraConfig config, Path folder) {
    AdapterFolder.write(folder, config, updates(decoder));
  }

  /** The trainable tensors by PEFT's names, in the order of the forward pass. */
  public static SequencedMap<String, Tensor> parameters(Decoder decoder) {
    var parameters = new LinkedHashMap<String, Tensor>();
    decoder
        .adapters()
        .forEach(
            (module, adapter) -> {
              parameters.put(AdapterFolder.nameOfA(module), adapter.a());
              parameters.put(AdapterFolder.nameOfB(module), adapter.b());
            });
    return parameters;
  }

  /**
   * The weights with the adapters added in float32, {@code W + scale B A}: the same model without
   * adapters.
   */
  public static Decoder merged(Decoder decoder) {
    var weights = decoder.weights().copy();
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      decoder
          .adapters()
          .forEach(
              (module, adapter) ->
                  weights
                      .get(module + ".weight")
                      .add_(torch.mm(adapter.b(), adapter.a()), new Scalar(adapter.scale())));
    }
    return new Decoder(decoder.architecture(), weights);
  }

  private static List<AdapterFolder.Update> updates(Decoder decoder) {
    var updates = new ArrayList<AdapterFolder.Update>();
    decoder
        .adapters()
        .forEach(
            (module, adapter) ->
                updates.add(
                    new AdapterFolder.Update(
                        module,
                        Weights.entry(AdapterFolder.nameOfA(module), adapter.a()),
                        Weights.entry(AdapterFolder.nameOfB(module), adapter.b()))));
    return updates;
  }

  private static List<String> targets(Decoder decoder, LoraConfig config) {
    var all = decoder.projections().keySet();
    var chosen = all.stream().filter(config.targets()::selects).toList();
    if (chosen.isEmpty()) {
      throw HoldfastException.usage(
          "tune.lora.targets: %s selects no projection of the model; it has %s",
          config.targets(),
          all.stream()
              .map(module -> module.substring(module.lastIndexOf('.') + 1))
              .distinct()
              .collect(Collectors.joining(", ")));
    }
    return chosen;
  }

  private static void check(Path folder, TensorEntry entry, long rows, long columns) {
    if (!Arrays.equals(entry.sizes(), new long[] {rows, columns})) {
      throw HoldfastException.input(
          "%s: tensor %s has shape %s, the model asks for [%d, %d]; the adapter belongs to another"
              + " model",
          folder, entry.name(), entry.shape(), rows, columns);
    }
  }

  private static Tensor floats(TensorEntry entry) {
    return Tensors.sharing(entry.data(), entry.dtype(), entry.sizes()).to(ScalarType.Float).clone();
  }
}
