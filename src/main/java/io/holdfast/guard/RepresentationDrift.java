package io.holdfast.guard;

import io.holdfast.data.Example;
import io.holdfast.geometry.Basis;
import io.holdfast.geometry.Carrier;
import io.holdfast.geometry.Contrast;
import io.holdfast.geometry.Drift;
import io.holdfast.geometry.Reading;
import io.holdfast.geometry.Similarity;
import io.holdfast.geometry.States;
import io.holdfast.geometry.TokenPosition;
import io.holdfast.model.Decoder;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.stream.Stream;

/**
 * How the states of safety prompts move while a model is trained: read in the reference once, and
 * then in every checkpoint, on the same prompts.
 */
public final class RepresentationDrift {
  private static final List<Reading> READINGS =
      List.of(
          new Reading(TokenPosition.INSTRUCTION_END, 0, 1),
          new Reading(TokenPosition.PROMPT_END, 0, 1));

  private final SafetySubspace subspace;
  private final List<Example> harmful;
  private final List<Example> benign;
  private final States harmfulBefore;
  private final States benignBefore;

  /**
   * A measurement.
   *
   * @param reference the start of the run
   * @param subspace whose layers are looked at
   */
  public RepresentationDrift(
      Decoder reference, SafetySubspace subspace, List<Example> harmful, List<Example> benign) {
    this.subspace = subspace;
    this.harmful = harmful;
    this.benign = benign;
    this.harmfulBefore = States.capture(reference, harmful, subspace.layers(), READINGS);
    this.benignBefore = States.capture(reference, benign, subspace.layers(), READINGS);
  }

  /**
   * What was found at one layer and position, by name:
   *
   * <pre>
   * direction     1 - cos of the carriers (harmful minus benign mean) before and after
   * magnitude     log of the ratio of their lengths
   * relative      mean of |h - h_0| / |h_0|
   * safety_share  share of the squared movement inside the safety subspace; safety_chance is k/d
   * cone_axis     angle between the axes of the harmful prompts' cones, radians
   * cone_aperture change of the mean angle to the axis, radians
   * cka           unbiased linear CKA of all prompts before and after
   * procrustes    what no rotation explains, 0 to 2
   * distortion    relative change of the harmful prompts' cosines inside the subspace
   * separation    share of a harmful prompt's squared distance from the benign mean that the class
   *               means explain
   * relocation    layers between where that is largest before and after
   * </pre>
   */
  public record Line(String position, int layer, SequencedMap<String, Double> figures) {}

  /** Measures a checkpoint: a line for each layer and position. */
  public List<Line> of(Decoder checkpoint) {
    var harmfulAfter = States.capture(checkpoint, harmful, subspace.layers(), READINGS);
    var benignAfter = States.capture(checkpoint, benign, subspace.layers(), READINGS);
    var lines = new ArrayList<Line>();
    for (int r = 0; r < READINGS.size(); r++) {
      int relocation =
          Math.abs(best(harmfulAfter, benignAfter, r) - best(harmfulBefore, benignBefore, r));
      for (int layer : subspace.layers()) {
        var figures =
            figures(
                harmfulBefore.at(layer)[r],
                benignBefore.at(layer)[r],
                harmfulAfter.at(layer)[r],
                benignAfter.at(layer)[r],
                subspace.directions(layer));
        figures.put("relocation", (double) relocation);
        lines.add(new Line(READINGS.get(r).name(), layer, figures));
      }
    }
    return lines;
  }

  /** The figures of one layer from activations {@code [n][d]}. */
  static SequencedMap<String, Double> figures(
      double[][] harmful0,
      double[][] benign0,
      double[][] harmful,
      double[][] benign,
      Basis safety) {
    double[][] all0 = joined(harmful0, benign0);
    double[][] all = joined(harmful, benign);
    var drift =
        Drift.of(new Contrast(harmful0, benign0), new Contrast(harmful, benign), all0, all, safety);
    var figures = new LinkedHashMap<String, Double>();
    figures.put("direction", drift.direction());
    figures.put("magnitude", drift.magnitude());
    figures.put("relative", drift.relative());
    figures.put("safety_share", drift.safetyShare());
    figures.put("safety_chance", drift.chance());
    figures.put("cone_axis", drift.axis());
    figures.put("cone_aperture", drift.aperture());
    figures.put("cka", Similarity.unbiasedCka(all0, all));
    figures.put("procrustes", Similarity.procrustes(all0, all));
    figures.put("distortion", distortion(harmful0, benign0, harmful, safety));
    figures.put("separation", SubspaceFit.separation(harmful, benign));
    return figures;
  }

  /** Cosines inside the subspace as seen from where the benign mean was. */
  private static double distortion(
      double[][] harmful0, double[][] benign0, double[][] harmful, Basis safety) {
    double[] centre = safety.coefficients(Carrier.mean(benign0));
    return new CosineGram(seenFrom(centre, harmful0, safety))
        .distance(seenFrom(centre, harmful, safety));
  }

  private static double[][] seenFrom(double[] centre, double[][] rows, Basis safety) {
    return Stream.of(rows)
        .map(
            row -> {
              double[] s = safety.coefficients(row);
              for (int k = 0; k < s.length; k++) {
                s[k] -= centre[k];
              }
              return s;
            })
        .toArray(double[][]::new);
  }

  private int best(States ofHarmful, States ofBenign, int reading) {
    return subspace.layers().stream()
        .max(
            Comparator.comparingDouble(
                layer ->
                    SubspaceFit.separation(
                        ofHarmful.at(layer)[reading], ofBenign.at(layer)[reading])))
        .orElseThrow();
  }

  private static double[][] joined(double[][] a, double[][] b) {
    return Stream.concat(Stream.of(a), Stream.of(b)).toArray(double[][]::new);
  }
}
