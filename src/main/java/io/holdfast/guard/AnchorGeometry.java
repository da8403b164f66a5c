package io.holdfast.guard;

import io.holdfast.data.Example;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Where the reference has the anchors inside the subspace, as seen from the benign mean. */
final class AnchorGeometry {
  private final Map<Integer, double[]> centres = new HashMap<>();
  private final Map<Integer, Double> spreads = new HashMap<>();

  /**
   * Reads the anchors' coefficients once.
   *
   * @param anchors at least one, or the terms that need them make no sense
   */
  AnchorGeometry(
      SafetySubspace subspace,
      ReferenceCoefficients coefficients,
      GuardedPositions positions,
      List<Example> anchors) {
    for (int layer : subspace.layers()) {
      double[] centre = subspace.directions(layer).coefficients(subspace.benignMean(layer));
      double sum = 0;
      long tokens = 0;
      for (var anchor : anchors) {
        int count = positions.of(anchor).length;
        tokens += count;
        for (double[] row : coefficients.of(layer, anchor, count)) {
          for (int k = 0; k < row.length; k++) {
            sum += (row[k] - centre[k]) * (row[k] - centre[k]);
          }
        }
      }
      if (tokens == 0) {
        throw new IllegalArgumentException("no anchor has a guarded token");
      }
      centres.put(layer, centre);
      spreads.put(layer, sum / tokens);
    }
  }

  /** {@code U^T mu}, {@code [k]}. */
  double[] centre(int layer) {
    return centres.get(layer);
  }

  /** The mean of {@code |U^T (h_ref - mu)|^2} over the guarded tokens of all anchors. */
  double spread(int layer) {
    return spreads.get(layer);
  }
}
