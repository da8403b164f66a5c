package io.holdfast.train;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AdapterFolder;
import io.holdfast.checkpoint.LoraConfig;
import io.holdfast.checkpoint.ModelFolder;
import io.holdfast.checkpoint.Targets;
import io.holdfast.checkpoint.TensorEntry;
import io.holdfast.model.Adapters;
import io.holdfast.model.Decoder;
import io.holdfast.train.config.TrainConfig;
import io.holdfast.train.config.Tune;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Tensor;

/** What is trained: the whole model, or an adapter on a model that stays as it is. */
public sealed interface TunedModel extends Checkpoints.Model, AutoCloseable {
  /** The model as the forward pass sees it. */
  Decoder decoder();

  /** The start of the run, for guards; it is not changed by training. */
  Reference reference();

  /** What the optimizer moves, by name. */
  SequencedMap<String, Tensor> parameters();

  @Override
  void close();

  /** Loads what a configuration starts from and makes its parameters trainable. */
  static TunedModel of(TrainConfig config) {
    var base = Decoder.load(config.model());
    try {
      return switch (config.tune()) {
        case Tune.Full() -> {
          if (config.adapter().isPresent()) {
            Adapters.load(base, config.adapter().get());
            yield Whole.of(Adapters.merged(base), base, config);
          }
          yield Whole.of(base.copy(), base, config);
        }
        case Tune.Lora lora -> Adapter.of(base, lora, config);
      };
    } catch (RuntimeException e) {
      base.close();
      throw e;
    }
  }

  /** Full fine-tuning: every parameter that is not frozen; the reference is the mapped file. */
  record Whole(Decoder decoder, Decoder start, SequencedMap<String, Tensor> parameters, Path source)
      implements TunedModel {
    static Whole of(Decoder decoder, Decoder start, TrainConfig config) {
      var parameters = new LinkedHashMap<>(decoder.weights().all());
      parameters.keySet().removeIf(name -> frozen(name, config.freeze()));
      checkFreeze(decoder.weights().all(), config.freeze());
      if (parameters.isEmpty()) {
        throw HoldfastException.usage("freeze: every parameter is frozen, nothing is trained");
      }
      parameters.values().forEach(tensor -> tensor.requires_grad_(true));
      return new Whole(decoder, start, parameters, config.model());
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
            inFloat32(files.config()),
            TensorState.entries("", decoder.weights().all()),
            ModelFolder.SHARD_BYTES);
      }
      ModelFolder.copyTokenizer(source, folder);
    }

    /** The weights are written as they were trained, so the configuration must say so. */
    private static JsonNode inFloat32(JsonNode config) {
      ObjectNode changed = config.deepCopy();
      Stream.of("dtype", "torch_dtype")
          .filter(changed::has)
          .forEach(key -> changed.put(key, "float32"));
      return changed;
    }

    @Override
    public void read(Path folder) {
      try (var files = ModelFolder.open(folder)) {
        TensorState.restore(folder, files::names, files::tensor, "", decoder.weights().all());
      }
    }

    @Override
    public void close() {
      decoder.close();
      start.close();
    }
  }

  /** LoRA: the adapter alone; the reference is the same model with its adapter off. */
  record Adapter(Decoder decoder, LoraConfig config, SequencedMap<String, Tensor> parameters)
      implements TunedModel {
    static Adapter of(Decoder base, Tune.Lora lora, TrainConfig config) {
      if (!config.freeze().isEmpty()) {
        throw HoldfastException.usage(
            "freeze: a LoRA trains its adapter alone; choose its modules by tune.lora.targets");
      }
      LoraConfig made;
      if (config.adapter().isPresent()) {
        made = Adapters.load(base, config.adapter().get());
      } else {
        var targets =
            lora.targets().equals(List.of("all-linear"))
                ? new Targets.AllLinear()
                : new Targets.Named(lora.targets());
        made =
            new LoraConfig(
                config.model().toString(),
                lora.rank(),
                lora.alpha(),
                lora.dropout(),
                targets,
                false);
        Adapters.create(base, made, config.seed());
      }
      var parameters = Adapters.parameters(base);
      parameters.values().forEach(tensor -> tensor.requires_grad_(true));
      return new Adapter(base, made, parameters);
    }

    @Override
    public Reference reference() {
      return new Reference(decoder);
    }

    @Override
    public void write(Path folder) {
      Adapters.write(decoder, config, folder);
    }

    @Override
    public void read(Path folder) {
      try (var files = AdapterFolder.open(folder)) {
        var entries = new LinkedHashMap<String, TensorEntry>();
        for (var update : files.updates().values()) {
          entries.put(update.a().name(), update.a());
          entries.put(update.b().name(), update.b());
        }
        TensorState.restore(folder, entries::keySet, entries::get, "", parameters);
      }
    }

    @Override
    public void close() {
      decoder.close();
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
