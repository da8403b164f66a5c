package io.holdfast.guard;

import io.holdfast.HoldfastException;
import io.holdfast.data.Example;
import io.holdfast.geometry.Basis;
import io.holdfast.geometry.Carrier;
import io.holdfast.geometry.PromptActivations;
import io.holdfast.model.Decoder;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;

/**
 * Fits a safety subspace to contrasting activations: the difference in means first, at each
 * position, then the leading directions in which harmful prompts differ from the benign mean.
 */
public final class SubspaceFit {
  private SubspaceFit() {}

  /**
   * Activations of one class of prompts at one layer.
   *
   * @param positions by named position, {@code [prompts][d]}
   */
  public record Activations(List<double[][]> positions) {}

  /** One layer's basis and scale. */
  public record Layer(double[][] basis, double scale) {}

  /**
   * A subspace of a model, fitted where harm is read (the end of the instruction) and where refusal
   * is decided (the end of the prompt).
   *
   * @param harmful prompts that should be refused
   * @param benign prompts that should be answered
   * @param layers slots of the residual stream
   */
  public static SafetySubspace fit(
      Decoder model,
      List<Example> harmful,
      List<Example> benign,
      List<Integer> layers,
      int rank,
      String modelHash) {
    var bases = new TreeMap<Integer, double[][]>();
    var scales = new TreeMap<Integer, Double>();
    var dangerous = states(model, harmful, layers);
    var harmless = states(model, benign, layers);
    for (int layer : layers) {
      var fitted = fit(at(dangerous, layer), at(harmless, layer), rank);
      bases.put(layer, fitted.basis());
      scales.put(layer, fitted.scale());
    }
    return new SafetySubspace(bases, scales, modelHash);
  }

  private static List<PromptActivations> states(
      Decoder model, List<Example> prompts, List<Integer> layers) {
    return List.of(
        PromptActivations.capture(model, prompts, layers, Example::instructionEnd),
        PromptActivations.capture(model, prompts, layers, Example::promptEnd));
  }

  private static Activations at(List<PromptActivations> states, int layer) {
    return new Activations(states.stream().map(state -> state.at(layer)).toList());
  }

  /**
   * An orthonormal basis of rank k.
   *
   * <p>Column 0.. are the mean differences at each position, last position first, made orthonormal;
   * the rest are the directions in which {@code h_harmful(x) - mean_benign}, gathered over
   * positions, spread most outside those ({@link Basis#leading}).
   *
   * @throws HoldfastException if there are fewer differences than directions asked for
   */
  public static Layer fit(Activations harmful, Activations benign, int rank) {
    int positions = harmful.positions().size();
    int width = harmful.positions().getFirst()[0].length;
    int available = harmful.positions().stream().mapToInt(rows -> rows.length).sum();
    if (rank > Math.min(width, available)) {
      throw HoldfastException.usage(
          "guard.subspace.rank: %d directions cannot be fitted to %d activations of width %d; ask"
              + " for fewer, or give more harmful prompts",
          rank, available, width);
    }
    var means = new ArrayList<double[]>();
    var differences = new ArrayList<double[]>();
    for (int p = positions - 1; p >= 0; p--) {
      double[][] rows = harmful.positions().get(p);
      double[][] others = benign.positions().get(p);
      means.add(Carrier.between(rows, others).vector());
      differences.addAll(List.of(Carrier.differences(rows, others)));
    }
    var basis = Basis.leading(means, differences.toArray(double[][]::new), rank);
    if (basis.rank() < rank) {
      throw HoldfastException.usage(
          "guard.subspace.rank: the activations span only %d directions, not %d",
          basis.rank(), rank);
    }
    double length = new Carrier(means.getFirst()).norm();
    return new Layer(transposed(basis.vectors()), length * length);
  }

  /** Random orthonormal directions: the control for any basis that was fitted. */
  public static double[][] random(int width, int rank, long seed) {
    return transposed(Basis.random(width, rank, seed).vectors());
  }

  private static double[][] transposed(double[][] rows) {
    var columns = new double[rows[0].length][rows.length];
    for (int i = 0; i < rows.length; i++) {
      for (int j = 0; j < rows[0].length; j++) {
        columns[j][i] = rows[i][j];
      }
    }
    return columns;
  }
}
