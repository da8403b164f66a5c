package io.holdfast.guard;

import io.holdfast.HoldfastException;
import io.holdfast.data.Example;
import io.holdfast.geometry.PromptActivations;
import io.holdfast.model.Decoder;
import java.util.List;
import java.util.TreeMap;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.EigenDecomposition;

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
   * the rest are the leading eigenvectors of the second moment of {@code h_harmful(x) -
   * mean_benign}, gathered over positions, in the complement of the first. This is the left
   * singular basis of methods C.3 with the mean direction first.
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
    var basis = new double[rank][];
    var moment = new double[width][width];
    int found = 0;
    double scale = 0;
    for (int p = positions - 1; p >= 0; p--) {
      double[] benignMean = mean(benign.positions().get(p));
      double[] difference = minus(mean(harmful.positions().get(p)), benignMean);
      if (p == positions - 1) {
        scale = dot(difference, difference);
      }
      found = append(basis, found, difference);
      for (double[] row : harmful.positions().get(p)) {
        addOuter(moment, minus(row, benignMean));
      }
    }
    for (int i = 0; i < found; i++) {
      deflate(moment, basis[i]);
    }
    var eigen = new EigenDecomposition(new Array2DRowRealMatrix(symmetric(moment), false));
    for (int i = 0; found < rank && i < width; i++) {
      found = append(basis, found, eigen.getEigenvector(i).toArray());
    }
    if (found < rank) {
      throw HoldfastException.usage(
          "guard.subspace.rank: the activations span only %d directions, not %d", found, rank);
    }
    return new Layer(transposed(basis), scale);
  }

  /** Random orthonormal directions: the control for any basis that was fitted. */
  public static double[][] random(int width, int rank, long seed) {
    var random = new java.util.SplittableRandom(seed);
    var basis = new double[rank][];
    for (int found = 0; found < rank; ) {
      var direction = new double[width];
      for (int i = 0; i < width; i++) {
        direction[i] = random.nextGaussian();
      }
      found = append(basis, found, direction);
    }
    return transposed(basis);
  }

  /** Gram-Schmidt, twice for stability; a direction that is already spanned adds nothing. */
  private static int append(double[][] basis, int found, double[] direction) {
    if (found == basis.length) {
      return found;
    }
    double before = Math.sqrt(dot(direction, direction));
    var rest = direction.clone();
    for (int pass = 0; pass < 2; pass++) {
      for (int i = 0; i < found; i++) {
        double along = dot(rest, basis[i]);
        for (int j = 0; j < rest.length; j++) {
          rest[j] -= along * basis[i][j];
        }
      }
    }
    double length = Math.sqrt(dot(rest, rest));
    if (!(length > 1e-6 * before)) {
      return found;
    }
    for (int j = 0; j < rest.length; j++) {
      rest[j] /= length;
    }
    basis[found] = rest;
    return found + 1;
  }

  /** {@code M <- (I - u u^T) M (I - u u^T)}. */
  private static void deflate(double[][] moment, double[] unit) {
    int n = unit.length;
    for (int side = 0; side < 2; side++) {
      for (int j = 0; j < n; j++) {
        double along = 0;
        for (int i = 0; i < n; i++) {
          along += unit[i] * (side == 0 ? moment[i][j] : moment[j][i]);
        }
        for (int i = 0; i < n; i++) {
          if (side == 0) {
            moment[i][j] -= along * unit[i];
          } else {
            moment[j][i] -= along * unit[i];
          }
        }
      }
    }
  }

  private static double[][] symmetric(double[][] m) {
    for (int i = 0; i < m.length; i++) {
      for (int j = 0; j < i; j++) {
        m[i][j] = m[j][i] = (m[i][j] + m[j][i]) / 2;
      }
    }
    return m;
  }

  private static double[] mean(double[][] rows) {
    var mean = new double[rows[0].length];
    for (double[] row : rows) {
      for (int i = 0; i < mean.length; i++) {
        mean[i] += row[i] / rows.length;
      }
    }
    return mean;
  }

  private static double[] minus(double[] a, double[] b) {
    var difference = new double[a.length];
    for (int i = 0; i < a.length; i++) {
      difference[i] = a[i] - b[i];
    }
    return difference;
  }

  private static void addOuter(double[][] moment, double[] x) {
    for (int i = 0; i < x.length; i++) {
      for (int j = 0; j < x.length; j++) {
        moment[i][j] += x[i] * x[j];
      }
    }
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
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
