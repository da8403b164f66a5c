package io.holdfast.guard;

import io.holdfast.HoldfastException;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.checkpoint.SafetensorsWriter;
import io.holdfast.checkpoint.Sha256;
import io.holdfast.checkpoint.TensorEntry;
import io.holdfast.geometry.Basis;
import io.holdfast.kernels.DType;
import io.holdfast.kernels.Matrix;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Where safety lives in the residual stream: for each guarded layer an orthonormal basis, and the
 * squared length of the mean difference between harmful and benign prompts, which gives the penalty
 * its scale.
 */
public final class SafetySubspace implements AutoCloseable {
  private final Arena arena = Arena.ofShared();
  private final SortedMap<Integer, Matrix> bases = new TreeMap<>();
  private final SortedMap<Integer, Double> scales = new TreeMap<>();
  private final SortedMap<Integer, double[]> benignMeans = new TreeMap<>();
  private final String modelHash;
  private boolean random;

  /**
   * A subspace.
   *
   * @param bases by slot of the residual stream, row-major {@code [d][k]} with orthonormal columns
   * @param scales by slot, the squared norm of the mean difference
   * @param modelHash of the model it was fitted on; it is refused on another
   */
  public SafetySubspace(
      SortedMap<Integer, double[][]> bases, SortedMap<Integer, Double> scales, String modelHash) {
    this.modelHash = modelHash;
    this.scales.putAll(scales);
    bases.forEach((layer, basis) -> this.bases.put(layer, matrix(basis)));
  }

  /** What was fitted, layer by layer, on the model of this hash. */
  public static SafetySubspace of(SortedMap<Integer, SubspaceFit.Layer> layers, String modelHash) {
    var bases = new TreeMap<Integer, double[][]>();
    var scales = new TreeMap<Integer, Double>();
    layers.forEach(
        (layer, fitted) -> {
          bases.put(layer, columns(fitted.basis()));
          scales.put(layer, fitted.scale());
        });
    var subspace = new SafetySubspace(bases, scales, modelHash);
    layers.forEach((layer, fitted) -> subspace.benignMeans.put(layer, fitted.benignMean()));
    return subspace;
  }

  private static double[][] columns(Basis basis) {
    var columns = new double[basis.width()][basis.rank()];
    for (int i = 0; i < basis.width(); i++) {
      for (int j = 0; j < basis.rank(); j++) {
        columns[i][j] = basis.vectors()[j][i];
      }
    }
    return columns;
  }

  private Matrix matrix(double[][] basis) {
    int rank = basis[0].length;
    var memory = arena.allocate(ValueLayout.JAVA_FLOAT, (long) basis.length * rank);
    for (int i = 0; i < basis.length; i++) {
      for (int j = 0; j < rank; j++) {
        memory.setAtIndex(ValueLayout.JAVA_FLOAT, (long) i * rank + j, (float) basis[i][j]);
      }
    }
    return Matrix.dense(memory, basis.length, rank, DType.FLOAT32);
  }

  /** The guarded slots of the residual stream, ascending. */
  public List<Integer> layers() {
    return List.copyOf(bases.keySet());
  }

  /** Directions per layer. */
  public int rank() {
    return Math.toIntExact(bases.firstEntry().getValue().columns());
  }

  /** Basis {@code [d, k]} at a slot. */
  public Matrix basis(int layer) {
    return bases.get(layer);
  }

  /** Squared norm of the mean difference at a slot. */
  public double scale(int layer) {
    return scales.get(layer);
  }

  /** The directions at a slot, as geometry has them. */
  public Basis directions(int layer) {
    var basis = bases.get(layer);
    var vectors = new double[rank()][Math.toIntExact(basis.rows())];
    for (int i = 0; i < basis.rows(); i++) {
      for (int j = 0; j < vectors.length; j++) {
        vectors[j][i] = basis.data().getAtIndex(ValueLayout.JAVA_FLOAT, i * basis.stride() + j);
      }
    }
    return new Basis(vectors);
  }

  /** The same at every slot. */
  public SortedMap<Integer, Basis> directions() {
    var all = new TreeMap<Integer, Basis>();
    bases.keySet().forEach(layer -> all.put(layer, directions(layer)));
    return all;
  }

  /**
   * The mean state of benign prompts at their end.
   *
   * @throws HoldfastException if the file it was read from has none
   */
  public double[] benignMean(int layer) {
    if (!benignMeans.containsKey(layer)) {
      throw HoldfastException.usage(
          "guard.subspace.basis: the file has no mean of benign prompts, which a term of this guard"
              + " needs; fit it anew (holdfast geometry fit)");
    }
    return benignMeans.get(layer);
  }

  /** Some of its layers, with their first directions. */
  public SafetySubspace part(Collection<Integer> layers, int rank) {
    var some = new TreeMap<Integer, double[][]>();
    var itsScales = new TreeMap<Integer, Double>();
    for (int layer : layers) {
      some.put(layer, columns(new Basis(Arrays.copyOf(directions(layer).vectors(), rank))));
      itsScales.put(layer, scale(layer));
    }
    var part = new SafetySubspace(some, itsScales, modelHash);
    part.benignMeans.putAll(benignMeans);
    part.benignMeans.keySet().retainAll(layers);
    return part;
  }

  /**
   * The same layers and scales with random directions: the control for what a fitted basis does.
   */
  public SafetySubspace randomized(long seed) {
    var random = new TreeMap<Integer, double[][]>();
    bases.forEach(
        (layer, basis) ->
            random.put(
                layer, columns(Basis.random(Math.toIntExact(basis.rows()), rank(), seed + layer))));
    var control = new SafetySubspace(random, scales, modelHash);
    control.benignMeans.putAll(benignMeans);
    control.random = true;
    return control;
  }

  /** Whether it is a control whose directions were drawn and not fitted. */
  public boolean isRandom() {
    return random;
  }

  /** Hash of the model it belongs to. */
  public String modelHash() {
    return modelHash;
  }

  /** A short hash of the bases, so that what was computed with others is not taken for these. */
  public String fingerprint() {
    var hash = new Sha256();
    bases.values().forEach(basis -> hash.add(basis.data().asByteBuffer()));
    return hash.hex().substring(0, 16);
  }

  /** Writes the subspace as safetensors, with what is needed to refuse it elsewhere. */
  public void save(Path file, Map<String, String> about) {
    var metadata = new TreeMap<>(about);
    metadata.put("holdfast", "safety-subspace 1");
    metadata.put("model", modelHash);
    scales.forEach((layer, scale) -> metadata.put("scale." + layer, Double.toString(scale)));
    var tensors = new ArrayList<TensorEntry>();
    bases.forEach(
        (layer, basis) ->
            tensors.add(
                new TensorEntry(
                    "layer." + layer,
                    DType.FLOAT32,
                    List.of(basis.rows(), basis.columns()),
                    basis.data())));
    benignMeans.forEach(
        (layer, mean) -> {
          var values = new float[mean.length];
          for (int i = 0; i < mean.length; i++) {
            values[i] = (float) mean[i];
          }
          tensors.add(TensorEntry.of("benign." + layer, List.of((long) mean.length), values));
        });
    SafetensorsWriter.write(file, tensors, metadata);
  }

  /**
   * Reads a subspace.
   *
   * @param modelHash of the model it is to guard
   * @throws HoldfastException if it was fitted on another model or is not orthonormal
   */
  public static SafetySubspace load(Path file, String modelHash) {
    try (var tensors = Safetensors.open(file)) {
      var metadata = tensors.metadata();
      if (!"safety-subspace 1".equals(metadata.get("holdfast"))) {
        throw HoldfastException.input(
            "%s: not a safety subspace; make one with holdfast geometry fit", file);
      }
      if (!modelHash.equals(metadata.get("model"))) {
        throw HoldfastException.input(
            "%s: this subspace was fitted on another model (%s, here %s). Fit it on this one.",
            file, metadata.get("model"), modelHash);
      }
      var bases = new TreeMap<Integer, double[][]>();
      var scales = new TreeMap<Integer, Double>();
      var benignMeans = new TreeMap<Integer, double[]>();
      for (var name : tensors.names()) {
        if (!name.matches("(layer|benign)[.]\\d{1,9}")) {
          throw HoldfastException.input(
              "%s: no subspace has a tensor '%s'; make the file anew with holdfast geometry fit",
              file, name);
        }
        int layer = Integer.parseInt(name.substring(name.indexOf('.') + 1));
        if (name.startsWith("benign.")) {
          benignMeans.put(layer, vector(tensors.get(name)));
          continue;
        }
        bases.put(layer, values(tensors.get(name)));
        scales.put(layer, scale(metadata, layer, file));
        checkOrthonormal(bases.get(layer), file, name);
      }
      var subspace = new SafetySubspace(bases, scales, modelHash);
      subspace.benignMeans.putAll(benignMeans);
      return subspace;
    }
  }

  private static double scale(Map<String, String> metadata, int layer, Path file) {
    var key = "scale." + layer;
    try {
      return Double.parseDouble(metadata.getOrDefault(key, ""));
    } catch (NumberFormatException e) {
      throw HoldfastException.input(
          "%s: its metadata has no number under %s; make it anew with holdfast geometry fit",
          file, key);
    }
  }

  private static double[] vector(TensorEntry tensor) {
    var values = new double[Math.toIntExact(tensor.sizes()[0])];
    for (int i = 0; i < values.length; i++) {
      values[i] = tensor.data().get(ValueLayout.JAVA_FLOAT_UNALIGNED, 4L * i);
    }
    return values;
  }

  private static double[][] values(TensorEntry tensor) {
    int rows = Math.toIntExact(tensor.sizes()[0]);
    int columns = Math.toIntExact(tensor.sizes()[1]);
    var values = new double[rows][columns];
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < columns; j++) {
        values[i][j] =
            tensor.data().get(ValueLayout.JAVA_FLOAT_UNALIGNED, 4L * ((long) i * columns + j));
      }
    }
    return values;
  }

  private static void checkOrthonormal(double[][] basis, Path file, String name) {
    int rank = basis[0].length;
    for (int a = 0; a < rank; a++) {
      for (int b = a; b < rank; b++) {
        double dot = 0;
        for (double[] row : basis) {
          dot += row[a] * row[b];
        }
        if (!(Math.abs(dot - (a == b ? 1 : 0)) < 1e-4)) {
          throw HoldfastException.input(
              "%s: the columns of %s are not orthonormal (column %d times column %d is %s)",
              file, name, a, b, dot);
        }
      }
    }
  }

  @Override
  public void close() {
    arena.close();
  }
}
