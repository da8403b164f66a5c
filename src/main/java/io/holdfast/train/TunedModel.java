package io.holdfast.train;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AdapterFolder;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.kernels.DType;
import io.holdfast.model.AdaptedDecoder;
import io.holdfast.model.Decoder;
import io.holdfast.model.ReftDecoder;
import io.holdfast.torch.Scope;
import io.holdfast.torch.TensorOwner;
import io.holdfast.torch.Tensors;
import io.holdfast.train.config.TrainConfig;
import io.holdfast.train.config.TrainConfig.Precision;
import io.holdfast.train.config.Tune;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;

/** What is trained: the whole model, or an adapter or interventions on one that stays as it is. */
public sealed interface TunedModel extends Checkpoints.Model, AutoCloseable {
  /** The model as the forward pass sees it. */
  Decoder decoder();

  /** The start of the run, for guards; it is not changed by training. */
  Reference reference();

  /** What the optimizer moves, by name; float32. */
  SequencedMap<String, Tensor> parameters();

  /** What the model computes with in place of parameters of the same names; empty in float32. */
  default Map<String, Tensor> rounded() {
    return Map.of();
  }

  @Override
  void close();

  /**
   * Loads what a configuration starts from and makes its parameters trainable.
   *
   * @param modelHash {@link ModelFolder#hash} of the model's folder, which adapters keep
   */
  static TunedModel of(TrainConfig config, String modelHash) {
    var base = Decoder.load(config.model(), config.precision().dtype());
    try {
      return switch (config.tune()) {
        case Tune.Full() -> Whole.of(base, config);
        case Tune.Lora lora -> Adapter.of(base, lora, config, modelHash);
        case Tune.Reft reft -> Interventions.of(base, reft, config, modelHash);
      };
    } catch (RuntimeException e) {
      base.close();
      throw e;
    }
  }

  /**
   * Full fine-tuning: every parameter that is not frozen; the reference is the mapped file.
   *
   * @param wide the float32 masters; in float32 the decoder itself
   */
  record Whole(
      Decoder decoder,
      Decoder wide,
      Decoder start,
      SequencedMap<String, Tensor> parameters,
      Path source)
      implements TunedModel {
    static Whole of(Decoder start, TrainConfig config) {
      var dtype = config.precision().dtype();
      var wide =
          config
              .adapter()
              .map(adapter -> merged(config.model(), adapter))
              .orElseGet(() -> inFloat32(start, config.model()));
      var decoder = dtype == DType.FLOAT32 ? wide : wide.copy(dtype);
      var parameters = new LinkedHashMap<>(wide.weights().all());
      parameters.keySet().removeIf(name -> frozen(name, config.freeze()));
      checkFreeze(decoder.weights().all(), config.freeze());
      if (parameters.isEmpty()) {
        throw HoldfastException.usage("freeze: every parameter is frozen, nothing is trained");
      }
      parameters.keySet().forEach(name -> decoder.weights().get(name).requires_grad_(true));
      return new Whole(decoder, wide, start, parameters, config.model());
    }

    /** Masters begin as the file has them, not as they were rounded. */
    private static Decoder inFloat32(Decoder start, Path model) {
      if (start.weights().dtype() == DType.FLOAT32) {
        return start.copy();
      }
      try (var file = Decoder.load(model)) {
        return file.copy();
      }
    }

    @Override
    public Map<String, Tensor> rounded() {
      if (decoder == wide) {
        return Map.of();
      }
      var rounded = new LinkedHashMap<>(decoder.weights().all());
      rounded.keySet().retainAll(parameters.keySet());
      return rounded;
    }

    private static Decoder merged(Path model, Path adapter) {
      try (var adapted = AdaptedDecoder.load(model, adapter)) {
        return adapted.merged();
      }
    }

    @Override
    public Reference reference() {
      return new Reference(start);
    }

    @Override
    public void write(Path folder) {
      try (var files = ModelFolder.open(source)) {
        ModelFolder.write(
            folder,
            ModelFolder.describing(
                files.config(),
                Optional.of(decoder.weights().dtype()),
                decoder.architecture().tied() && !decoder.tied()),
            TensorState.entries("", decoder.weights().all()),
            ModelFolder.SHARD_BYTES);
      }
      ModelFolder.copyTokenizer(source, folder);
    }

    @Override
    public void read(Path folder) {
      try (var files = ModelFolder.open(folder)) {
        TensorState.restore(folder, files::names, files::tensor, "", decoder.weights().all());
      }
    }

    @Override
    public void close() {
      if (decoder != wide) {
        wide.close();
      }
      decoder.close();
      start.close();
    }
  }

  /**
   * LoRA: the adapter alone; the reference is its base, with which it shares its weights.
   *
   * @param masters owns those parameters of which the model has rounded copies
   */
  record Adapter(
      AdaptedDecoder adapted,
      SequencedMap<String, Tensor> parameters,
      TensorOwner masters,
      String baseHash)
      implements TunedModel {
    static Adapter of(Decoder base, Tune.Lora lora, TrainConfig config, String baseHash) {
      if (!config.freeze().isEmpty()) {
        throw HoldfastException.usage(
            "freeze: a LoRA trains its adapter alone; choose its modules by tune.lora.targets");
      }
      var adapted =
          config
              .adapter()
              .map(folder -> goingOn(base, lora, folder))
              .orElseGet(
                  () ->
                      AdaptedDecoder.create(
                          base, lora.on(config.model().toString()), lora.init(), config.seed()));
      var parameters = adapted.parameters();
      parameters.values().forEach(tensor -> tensor.requires_grad_(true));
      var masters = new TensorOwner();
      if (config.precision() != Precision.FLOAT32 && !adapted.config().saved().names().isEmpty()) {
        widen(config, lora, adapted, parameters, masters);
      }
      return new Adapter(adapted, parameters, masters, baseHash);
    }

    /** Masters begin as the files have them, not as they were rounded. */
    private static void widen(
        TrainConfig config,
        Tune.Lora lora,
        AdaptedDecoder adapted,
        SequencedMap<String, Tensor> parameters,
        TensorOwner masters) {
      var file = Decoder.load(config.model());
      try (var scope = Scope.open();
          var wide =
              config
                  .adapter()
                  .map(folder -> AdaptedDecoder.load(file, folder))
                  .orElseGet(() -> AdaptedDecoder.create(file, adapted.config(), lora.init(), 0))) {
        var values = wide.parameters();
        parameters.replaceAll(
            (name, tensor) ->
                Tensors.isFloat(tensor) ? tensor : masters.own(values.get(name).detach().clone()));
      }
    }

    @Override
    public Map<String, Tensor> rounded() {
      var rounded = new LinkedHashMap<>(adapted.parameters());
      rounded.values().removeIf(Tensors::isFloat);
      return rounded;
    }

    /** An adapter brings its own settings: those of the configuration may only repeat them. */
    private static AdaptedDecoder goingOn(Decoder base, Tune.Lora lora, Path folder) {
      try (var files = AdapterFolder.open(folder)) {
        var brought = files.config();
        if (!lora.equals(Tune.Lora.DEFAULT) && !lora.on(brought.base()).equals(brought)) {
          throw HoldfastException.usage(
              "tune.lora: %s has settings of its own, and these are others: %s. Write `tune: lora`"
                  + " to go on with it, or leave `adapter` out to start a new one.",
              folder, brought);
        }
      }
      return AdaptedDecoder.load(base, folder);
    }

    @Override
    public Decoder decoder() {
      return adapted.decoder();
    }

    @Override
    public Reference reference() {
      return new Reference(adapted.base());
    }

    @Override
    public void write(Path folder) {
      adapted.write(folder, Optional.of(baseHash));
    }

    @Override
    public void read(Path folder) {
      try (var files = AdapterFolder.open(folder)) {
        var entries = files.tensors();
        TensorState.restore(folder, entries::keySet, entries::get, "", adapted.parameters());
      }
    }

    @Override
    public void close() {
      masters.close();
      adapted.close();
    }
  }

  /** ReFT: interventions alone, on a base that is the reference. */
  record Interventions(ReftDecoder units, SequencedMap<String, Tensor> parameters, String baseHash)
      implements TunedModel {
    static Interventions of(Decoder base, Tune.Reft reft, TrainConfig config, String baseHash) {
      if (!config.freeze().isEmpty()) {
        throw HoldfastException.usage("freeze: a ReFT trains its interventions alone");
      }
      int depth = base.architecture().depth();
      var layers =
          reft.layers().isEmpty() ? IntStream.range(1, depth).boxed().toList() : reft.layers();
      var units =
          config
              .adapter()
              .map(folder -> ReftDecoder.load(base, folder))
              .orElseGet(() -> ReftDecoder.create(base, layers, reft.rank(), config.seed()));
      var parameters = units.parameters();
      parameters.values().forEach(tensor -> tensor.requires_grad_(true));
      return new Interventions(units, parameters, baseHash);
    }

    @Override
    public Decoder decoder() {
      return units.decoder();
    }

    @Override
    public Reference reference() {
      return new Reference(units.base());
    }

    @Override
    public void write(Path folder) {
      units.write(folder, Optional.of(baseHash));
    }

    @Override
    public void read(Path folder) {
      try (var file = Safetensors.open(units.weights(folder))) {
        TensorState.restore(folder, file::names, file::get, "", parameters);
      }
    }

    @Override
    public void close() {
      units.close();
    }
  }

  private static boolean frozen(String name, List<String> globs) {
    return globs.stream().anyMatch(glob -> matches(name, glob));
  }

  /** A glob over the whole name, or a plain word that is one of the name's dotted parts. */
  private static boolean matches(String name, String glob) {
    return List.of(name.split("\\.")).contains(glob)
        || FileSystems.getDefault().getPathMatcher("glob:" + glob).matches(Path.of(name));
  }

  private static void checkFreeze(Map<String, Tensor> all, List<String> globs) {
    for (var glob : globs) {
      if (all.keySet().stream().noneMatch(name -> matches(name, glob))) {
        throw HoldfastException.usage(
            "freeze: %s matches no parameter; names look like %s",
            glob, all.keySet().iterator().next());
      }
    }
  }
}
