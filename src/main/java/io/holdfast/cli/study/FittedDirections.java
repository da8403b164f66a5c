package io.holdfast.cli.study;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.cli.study.Condition.Method;
import io.holdfast.cli.study.Condition.Mode;
import io.holdfast.geometry.Basis;
import io.holdfast.geometry.Carrier;
import io.holdfast.geometry.Reach;
import io.holdfast.geometry.RefusalTrial.Limits;
import io.holdfast.guard.SafetySubspace;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * The directions of a file of {@code geometry fit}: all of a layer's are ablated, and the first is
 * added, which is the mean difference or, where directions were trained, the first of these.
 *
 * @param file that they were read from
 * @param method by which they were found; empty where the file does not say
 * @param byLayer by slot; of trained directions the one that they are added at alone
 * @param part that is taken
 */
public record FittedDirections(
    Path file, String method, SortedMap<Integer, Fitted> byLayer, Part part) implements Directions {

  /**
   * The directions of one layer.
   *
   * @param basis that is ablated
   * @param length of the first vector where it is added
   */
  public record Fitted(Basis basis, double length) {
    private Fitted alone(int vector) {
      return new Fitted(new Basis(new double[][] {basis.vectors()[vector - 1]}), length);
    }
  }

  /**
   * What of a file is taken.
   *
   * @param layer that is not chosen among all
   * @param vector the number of the direction that is ablated and added alone, from 1
   */
  public record Part(Optional<Integer> layer, Optional<Integer> vector) {}

  /**
   * Reads a file.
   *
   * @param modelHash of the model that is intervened in
   * @param depth its blocks
   * @throws HoldfastException if the file holds no subspace of this model, or the part is not there
   */
  public static FittedDirections read(Path file, String modelHash, int depth, Part part) {
    var fit = fit(file);
    try (var subspace = SafetySubspace.load(file, modelHash)) {
      var byLayer = byLayer(subspace, fit.path("training"));
      require(part, subspace.rank(), byLayer.keySet(), file);
      if (byLayer.lastKey() > depth) {
        throw HoldfastException.input(
            "%s: has directions for layer %d, but the model ends at layer %d; fit it anew",
            file, byLayer.lastKey(), depth);
      }
      part.vector().ifPresent(v -> byLayer.replaceAll((_, fitted) -> fitted.alone(v)));
      return new FittedDirections(file, fit.path("method").asText(), byLayer, part);
    }
  }

  private static SortedMap<Integer, Fitted> byLayer(SafetySubspace subspace, JsonNode training) {
    if (training.isObject()) {
      // The same directions at every layer; what they are trained for is to be added at one.
      var basis = subspace.directions(subspace.layers().getFirst());
      var trained = new Fitted(basis, training.path("norm").asDouble());
      return new TreeMap<>(Map.of(training.path("layer").asInt(), trained));
    }
    var byLayer = new TreeMap<Integer, Fitted>();
    for (int layer : subspace.layers()) {
      double length = Math.sqrt(subspace.scale(layer));
      byLayer.put(layer, new Fitted(subspace.directions(layer), length));
    }
    return byLayer;
  }

  private static void require(Part part, int rank, Set<Integer> layers, Path file) {
    part.layer()
        .filter(layer -> !layers.contains(layer))
        .ifPresent(
            layer -> {
              throw HoldfastException.usage(
                  "--layer: %s has no directions for layer %d; it has them for %s",
                  file, layer, layers);
            });
    part.vector()
        .filter(vector -> vector < 1 || vector > rank)
        .ifPresent(
            vector -> {
              throw HoldfastException.usage(
                  "--vector: %s has no direction %d; it has 1 to %d", file, vector, rank);
            });
  }

  /** What the file says of its making. */
  private static JsonNode fit(Path file) {
    try (var tensors = Safetensors.open(file)) {
      return new ObjectMapper().readTree(tensors.metadata().getOrDefault("fit", "{}"));
    } catch (JsonProcessingException e) {
      throw HoldfastException.input("%s: 'fit' in its metadata is not JSON; fit it anew", file);
    }
  }

  /** What results say of it. */
  ObjectNode json() {
    var json = StudyFiles.object().put("file", file.toString()).put("method", method);
    part.vector().ifPresent(vector -> json.put("vector", vector));
    byLayer.forEach(
        (layer, fitted) ->
            json.withArray("layers")
                .addObject()
                .put("layer", layer)
                .put("rank", fitted.basis().rank())
                .put("length", fitted.length()));
    return json;
  }

  @Override
  public String title() {
    return "the first direction";
  }

  @Override
  public Mode refusal() {
    return Mode.BASIS;
  }

  @Override
  public List<Mode> others() {
    return List.of();
  }

  @Override
  public List<Integer> layers() {
    return List.copyOf(byLayer.keySet());
  }

  @Override
  public Carrier carrier(Mode mode, int layer) {
    var fitted = byLayer.get(layer);
    return new Carrier(fitted.basis().vectors()[0]).times(fitted.length());
  }

  @Override
  public Basis subspace(Mode mode, int layer) {
    return byLayer.get(layer).basis();
  }

  /** What the file is for: ablation and addition, at all tokens. */
  @Override
  public List<Condition> tried(Limits limits, int depth) {
    var tried = new ArrayList<Condition>();
    // Where there is one layer there is nothing to choose.
    var layers =
        part.layer()
            .map(List::of)
            .orElseGet(() -> byLayer.size() == 1 ? layers() : early(limits, depth));
    for (int layer : layers) {
      tried.add(Condition.of(Mode.BASIS, Method.ABLATE, Reach.Tokens.ALL, layer, 1));
      tried.add(Condition.of(Mode.BASIS, Method.ADD, Reach.Tokens.ALL, layer, 1));
    }
    return tried;
  }

  /** A file does not say what else was read. */
  @Override
  public Optional<Directions> misread() {
    return Optional.empty();
  }
}
