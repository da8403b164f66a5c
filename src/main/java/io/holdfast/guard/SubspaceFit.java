package io.holdfast.guard;

import io.holdfast.HoldfastException;
import io.holdfast.data.Example;
import io.holdfast.geometry.Basis;
import io.holdfast.geometry.Carrier;
import io.holdfast.geometry.Cone;
import io.holdfast.geometry.Reading;
import io.holdfast.geometry.States;
import io.holdfast.geometry.TokenPosition;
import io.holdfast.model.Decoder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Fits a safety subspace to contrasting activations: the difference in means first, at each
 * position, then the leading directions in which harmful prompts differ from the benign mean.
 */
public final class SubspaceFit {
  private SubspaceFit() {}

  /** Which directions follow the mean differences. */
  public enum Method {
    /** The left singular vectors of the differences, not centred. */
    SVD,
    /** The same of differences scaled to length 1: the cone of directions, however far they go. */
    CONE,
    /** None: one mean difference a position. */
    MEAN
  }

  /**
   * How a subspace is fitted.
   *
   * @param readings what is read of each prompt; differences in means are taken of each
   * @param method which directions follow
   * @param rank directions per layer, at most
   * @param energy the share of the squared differences that the directions must hold: the rank is
   *     then the smallest that does in every layer; 1 for the full rank
   */
  public record Settings(List<Reading> readings, Method method, int rank, double energy) {
    /** Harm read at the end of the instruction, refusal at the end of the prompt. */
    public static Settings standard(int rank) {
      return new Settings(
          List.of(
              new Reading(TokenPosition.INSTRUCTION_END, 0, 1),
              new Reading(TokenPosition.PROMPT_END, 0, 1)),
          Method.SVD,
          rank,
          1);
    }
  }

  /**
   * One layer's subspace.
   *
   * @param basis the directions, the mean difference of the last reading first
   * @param scale squared length of that mean difference; of the last reading that has one
   * @param benignMean {@code [d]} of the last reading
   * @param shares of the squared differences that lie along each direction
   * @param separation {@code scale} as a share of the mean squared difference of a harmful prompt
   *     from the benign mean: 1 where the classes differ by their means alone
   */
  public record Layer(
      Basis basis, double scale, double[] benignMean, double[] shares, double separation) {
    /** The share of the squared differences that lies inside. */
    public double energy() {
      return Arrays.stream(shares).sum();
    }

    /** How many of the directions hold a share of the squared differences. */
    int rankFor(double share) {
      int used = 0;
      for (double held = 0; used < shares.length && held < share; used++) {
        held += shares[used];
      }
      return used;
    }

    Layer first(int rank) {
      return new Layer(
          new Basis(Arrays.copyOf(basis.vectors(), rank)),
          scale,
          benignMean,
          Arrays.copyOf(shares, rank),
          separation);
    }
  }

  /** A subspace fitted as {@link Settings#standard} says. */
  public static SafetySubspace fit(
      Decoder model,
      List<Example> harmful,
      List<Example> benign,
      List<Integer> layers,
      int rank,
      String modelHash) {
    return SafetySubspace.of(
        layers(model, harmful, benign, layers, Settings.standard(rank)), modelHash);
  }

  /**
   * Fits each layer.
   *
   * @param harmful prompts that should be refused
   * @param benign prompts that should be answered
   * @param layers slots of the residual stream
   * @throws HoldfastException if there are fewer prompts than directions, or activations are not
   *     finite
   */
  public static SortedMap<Integer, Layer> layers(
      Decoder model,
      List<Example> harmful,
      List<Example> benign,
      List<Integer> layers,
      Settings settings) {
    var dangerous = States.capture(model, harmful, layers, settings.readings());
    var harmless = States.capture(model, benign, layers, settings.readings());
    var fitted = new TreeMap<Integer, Layer>();
    for (int layer : layers) {
      fitted.put(layer, fit(dangerous.at(layer), harmless.at(layer), settings));
    }
    // One rank for all layers: the most that any of them needs for its share.
    if (settings.energy() < 1) {
      int rank =
          fitted.values().stream().mapToInt(l -> l.rankFor(settings.energy())).max().orElseThrow();
      fitted.replaceAll((_, layer) -> layer.first(Math.min(rank, layer.basis().rank())));
    }
    return fitted;
  }

  /** What directions that were found elsewhere are at each layer: the same ones at all of them. */
  public static SortedMap<Integer, Layer> layers(
      Decoder model,
      List<Example> harmful,
      List<Example> benign,
      List<Integer> layers,
      List<Reading> readings,
      Basis basis) {
    var dangerous = States.capture(model, harmful, layers, readings);
    var harmless = States.capture(model, benign, layers, readings);
    var found = new TreeMap<Integer, Layer>();
    for (int layer : layers) {
      requireDifference(dangerous.at(layer), harmless.at(layer));
      found.put(layer, of(basis, dangerous.at(layer), harmless.at(layer)));
    }
    return found;
  }

  /**
   * Fits one layer.
   *
   * @param harmful activations {@code [readings][prompts][d]}
   * @param benign the same of the other class
   * @throws HoldfastException if there are fewer differences than directions asked for
   */
  public static Layer fit(double[][][] harmful, double[][][] benign, Settings settings) {
    int readings = harmful.length;
    int available = readings * harmful[0].length;
    boolean mean = settings.method() == Method.MEAN;
    int width = harmful[0][0].length;
    int rank =
        mean ? Math.min(settings.rank(), readings) : rank(settings, Math.min(width, available));
    var means = new ArrayList<double[]>();
    var differences = new ArrayList<double[]>();
    for (int r = readings - 1; r >= 0; r--) {
      means.add(Carrier.between(harmful[r], benign[r]).vector());
      differences.addAll(List.of(Carrier.differences(harmful[r], benign[r])));
    }
    var all = differences.toArray(double[][]::new);
    var shaped = settings.method() == Method.CONE ? Cone.rays(all) : all;
    requireDifference(harmful, benign);
    var basis = mean ? Basis.span(means) : Basis.leading(means, shaped, rank);
    if (!mean && settings.energy() == 1 && basis.rank() < rank) {
      throw HoldfastException.usage(
          "rank: the activations span only %d directions, not %d", basis.rank(), rank);
    }
    return of(basis, harmful, benign);
  }

  /** A basis with what it holds of a layer's activations. */
  private static Layer of(Basis basis, double[][][] harmful, double[][][] benign) {
    var differences = new ArrayList<double[]>();
    for (int r = 0; r < harmful.length; r++) {
      differences.addAll(List.of(Carrier.differences(harmful[r], benign[r])));
    }
    int main = lastThatDiffers(harmful, benign);
    double length = Carrier.between(harmful[main], benign[main]).norm();
    return new Layer(
        basis,
        length * length,
        Carrier.mean(benign[benign.length - 1]),
        basis.shares(differences.toArray(double[][]::new)),
        separation(harmful[main], benign[main]));
  }

  private static void requireDifference(double[][][] harmful, double[][][] benign) {
    for (int r = 0; r < harmful.length; r++) {
      if (Carrier.between(harmful[r], benign[r]).norm() > 0) {
        return;
      }
    }
    throw HoldfastException.usage(
        "layers: both classes have the same mean at one of the layers, as at slot 0 where every"
            + " prompt has the same token; leave that layer out, or read other positions");
  }

  /**
   * How much of what sets harmful prompts apart their mean explains: its squared distance from the
   * benign mean as a share of theirs, 0 to 1.
   */
  static double separation(double[][] harmful, double[][] benign) {
    double between = Carrier.between(harmful, benign).norm();
    double spread =
        Arrays.stream(Carrier.differences(harmful, benign))
            .mapToDouble(row -> Arrays.stream(row).map(x -> x * x).sum())
            .average()
            .orElseThrow();
    return between * between / spread;
  }

  /** The template's tokens are the same in all prompts, and at slot 0 so are their states. */
  private static int lastThatDiffers(double[][][] harmful, double[][][] benign) {
    int reading = harmful.length - 1;
    while (Carrier.between(harmful[reading], benign[reading]).norm() == 0) {
      reading--;
    }
    return reading;
  }

  private static int rank(Settings settings, int available) {
    if (settings.energy() < 1) {
      return Math.min(settings.rank(), available);
    }
    if (settings.rank() > available) {
      throw HoldfastException.usage(
          "rank: %d directions cannot be fitted to %d activations; ask for fewer, or give more"
              + " harmful prompts",
          settings.rank(), available);
    }
    return settings.rank();
  }
}
