package io.holdfast.model;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.AtomicFile;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.checkpoint.SafetensorsWriter;
import io.holdfast.checkpoint.TensorEntry;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.SortedMap;
import java.util.TreeMap;
import org.bytedeco.pytorch.GeneratorOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/**
 * A decoder with {@linkplain Reft interventions} at slots of its residual stream. It shares all
 * weights with its base, which stays as it is, and which it closes with itself.
 *
 * <p>A folder of it holds {@code reft_config.json} ({@code rank}, {@code layers}, and the hash of
 * the base) and {@code reft_model.safetensors} ({@code layer.N.rotate} R, {@code
 * layer.N.source.weight} W, {@code layer.N.source.bias} b).
 */
public final class ReftDecoder implements AutoCloseable {
  /** What makes a folder one of these. */
  public static final String CONFIG = "reft_config.json";

  static final String WEIGHTS = "reft_model.safetensors";
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Decoder base;
  private final Decoder decoder;
  private final SortedMap<Integer, Reft> units;

  private ReftDecoder(Decoder base, SortedMap<Integer, Reft> units) {
    this.base = base;
    this.units = units;
    this.decoder =
        new Decoder(base.architecture(), base.weights().with(new LinkedHashMap<>(), base));
    decoder.intervene(units);
  }

  /**
   * New interventions, which change nothing yet.
   *
   * @param layers slots of the residual stream
   * @param rank rows of R
   */
  public static ReftDecoder create(Decoder base, List<Integer> layers, int rank, long seed) {
    int width = base.architecture().hidden();
    if (rank > width) {
      throw HoldfastException.usage(
          "tune.reft.rank: %d, but the residual stream is only %d wide", rank, width);
    }
    try (var scope = Scope.open()) {
      torch.manual_seed(seed);
      var units = new TreeMap<Integer, Reft>();
      for (int layer : layers) {
        requireSlot(base, layer, "tune.reft.layers");
        var r = Tensors.empty(rank, width).normal_(0, 1, new GeneratorOptional());
        var unit = new Reft(r, Tensors.empty(rank, width), Tensors.zeros(rank));
        unit.orthonormalize();
        unit.w().copy_(unit.r());
        units.put(layer, unit);
      }
      return new ReftDecoder(base, units);
    }
  }

  /**
   * The interventions of a folder.
   *
   * @throws HoldfastException if a file is missing or does not fit the model
   */
  public static ReftDecoder load(Decoder base, Path folder) {
    var config = config(folder);
    int rank = config.path("rank").asInt();
    long width = base.architecture().hidden();
    try (var file = Safetensors.open(folder.resolve(WEIGHTS));
        var scope = Scope.open()) {
      var units = new TreeMap<Integer, Reft>();
      for (var layer : config.withArray("layers")) {
        requireSlot(base, layer.asInt(), folder.resolve(CONFIG) + ": layers");
        var prefix = "layer." + layer.asInt() + ".";
        units.put(
            layer.asInt(),
            new Reft(
                tensor(file, prefix + "rotate", rank, width),
                tensor(file, prefix + "source.weight", rank, width),
                tensor(file, prefix + "source.bias", rank)));
      }
      return new ReftDecoder(base, units);
    }
  }

  private static void requireSlot(Decoder base, int layer, String key) {
    int depth = base.architecture().depth();
    if (layer < 0 || layer > depth) {
      throw HoldfastException.usage(
          "%s: %d; the residual stream of this model has slots 0 to %d", key, layer, depth);
    }
  }

  private static ObjectNode config(Path folder) {
    var file = folder.resolve(CONFIG);
    try {
      if (JSON.readTree(Files.readString(file)) instanceof ObjectNode config
          && config.path("rank").isInt()
          && config.path("layers").isArray()) {
        return config;
      }
      throw HoldfastException.input("%s: names no rank and layers of interventions", file);
    } catch (IOException e) {
      throw HoldfastException.unreadable(file, e);
    }
  }

  private static Tensor tensor(Safetensors file, String name, long... shape) {
    if (!file.names().contains(name) || !Arrays.equals(file.get(name).sizes(), shape)) {
      throw HoldfastException.input(
          "%s: tensor %s must be there with shape %s; the interventions belong to another model",
          file.file(), name, Arrays.toString(shape));
    }
    var entry = file.get(name);
    return Tensors.sharing(entry.data(), entry.dtype(), shape).to(torch.ScalarType.Float).clone();
  }

  /** The model with the interventions. */
  public Decoder decoder() {
    return decoder;
  }

  /** The model without them. */
  public Decoder base() {
    return base;
  }

  /** The trainable tensors by their names in the file. */
  public SequencedMap<String, Tensor> parameters() {
    var parameters = new LinkedHashMap<String, Tensor>();
    units.forEach(
        (layer, unit) -> {
          parameters.put("layer." + layer + ".rotate", unit.r());
          parameters.put("layer." + layer + ".source.weight", unit.w());
          parameters.put("layer." + layer + ".source.bias", unit.b());
        });
    return parameters;
  }

  /**
   * Writes the interventions into an existing folder.
   *
   * @param baseHash of the base's folder
   */
  public void write(Path folder, Optional<String> baseHash) {
    var config = JSON.createObjectNode();
    config.put("reft_type", "LOREFT");
    config.put("rank", units.firstEntry().getValue().r().size(0));
    units.keySet().forEach(config.putArray("layers")::add);
    baseHash.ifPresent(hash -> config.put("base_sha256", hash));
    AtomicFile.write(folder.resolve(CONFIG), config.toPrettyString() + "\n");
    List<TensorEntry> entries =
        parameters().entrySet().stream()
            .map(tensor -> Weights.entry(tensor.getKey(), tensor.getValue()))
            .toList();
    SafetensorsWriter.write(folder.resolve(WEIGHTS), entries, Map.of());
  }

  /** The file of a folder that holds the values. */
  public Path weights(Path folder) {
    return folder.resolve(WEIGHTS);
  }

  /** Closes the base, too. */
  @Override
  public void close() {
    decoder.close();
  }
}
