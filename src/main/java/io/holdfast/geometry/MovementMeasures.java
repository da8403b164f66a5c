package io.holdfast.geometry;

import io.holdfast.geometry.Resampling.Measure;
import java.util.List;

/**
 * How far a model's carriers and states moved from those of a reference.
 *
 * @param before the reference
 * @param layer where the reply is read best now
 * @param rank of the subspaces
 */
record MovementMeasures(LabelledStates before, int layer, int rank) {
  /**
   * Computes them.
   *
   * @param layers at which both carriers are to be followed
   * @param was where the reply was read best in the reference
   */
  void measure(Resampling resampling, List<Integer> layers, int was) {
    resampling.plain("relocation", Figure.NO_LAYER, Math.abs(layer - was));
    for (int each : layers) {
      resampling.intervals(
          List.of(new Measure("drift_harm", 1), new Measure("drift_refusal", 1)),
          each,
          s ->
              new double[] {
                1 - s.before().harm(each, s.rows()).cosine(s.now().harm(each, s.rows())),
                1 - s.before().refusal(each, s.rows()).cosine(s.now().refusal(each, s.rows()))
              });
    }
    var safety = before.refusalSpace(layer, before.labels().all(), rank);
    resampling.intervals(
        List.of(
            Measure.of("magnitude"),
            Measure.of("relative_drift"),
            new Measure("safety_share", (double) safety.rank() / safety.width()),
            Measure.of("subspace_angle"),
            new Measure("cone_axis_drift", Math.PI / 2)),
        layer,
        s -> {
          var drift = drift(s, safety);
          return new double[] {
            drift.magnitude(), drift.relative(), drift.safetyShare(), angle(s), drift.axis()
          };
        });
    resampling.paired(new Measure("cka", 0), layer, Similarity::unbiasedCka);
    resampling.paired(Measure.of("procrustes"), layer, Similarity::procrustes);
  }

  private Drift drift(Resampling.Sample sample, Basis safety) {
    int[] rows = sample.rows();
    return Drift.of(
        sample.before().replies(layer, rows),
        sample.now().replies(layer, rows),
        LabelledStates.pick(sample.before().readout().promptEnd().at(layer), rows),
        LabelledStates.pick(sample.now().readout().promptEnd().at(layer), rows),
        safety);
  }

  private double angle(Resampling.Sample sample) {
    return PrincipalAngles.between(
            sample.before().refusalSpace(layer, sample.rows(), rank),
            sample.now().refusalSpace(layer, sample.rows(), rank))
        .grassmann();
  }
}
