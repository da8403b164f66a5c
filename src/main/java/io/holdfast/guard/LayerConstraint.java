package io.holdfast.guard;

import io.holdfast.kernels.DType;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Matrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import java.util.Map;

/**
 * The terms of {@link SubspaceGuard} at one layer, as edits of its gradient.
 *
 * @param anchors where the reference has the anchors, or null where no term asks
 * @param terms the values of the terms are added up here
 */
record LayerConstraint(
    SubspaceGuard.Settings settings,
    SafetySubspace subspace,
    ReferenceCoefficients coefficients,
    AnchorGeometry anchors,
    Kernels kernels,
    int layer,
    Map<String, Double> terms) {
  /**
   * What the sums of a window are divided by, besides the number of layers.
   *
   * @param tokens guarded ones
   * @param anchorTokens those of them that are anchors'
   * @param anchorPrompts anchors
   */
  record Shares(long tokens, long anchorTokens, long anchorPrompts) {}

  /** Edits the gradient of a batch's hidden states. */
  void apply(HeldTokens held, Matrix gradient, Matrix hidden, Shares shares) {
    try (var arena = Arena.ofConfined()) {
      hold(held, gradient, hidden, shares, arena);
      if (settings.geometry() > 0 && held.last().size() > 1) {
        keepGeometry(held, gradient, hidden, shares, arena);
      }
    }
  }

  /** Filter, update penalty and stability: all of them pull to the reference's coefficients. */
  private void hold(
      HeldTokens held, Matrix gradient, Matrix hidden, Shares shares, SegmentAllocator arena) {
    int count = held.count();
    double layers = subspace.layers().size();
    double update = 1 / (shares.tokens() * layers * subspace.scale(layer));
    double stability =
        settings.stability() == 0
            ? 0
            : 1 / (shares.anchorTokens() * layers * anchors.spread(layer));
    var weight = arena.allocate(ValueLayout.JAVA_FLOAT, count);
    var filter = arena.allocate(ValueLayout.JAVA_FLOAT, count);
    for (int i = 0; i < count; i++) {
      double pull = settings.update() * update * held.strength()[i];
      pull += held.anchor()[i] ? settings.stability() * stability : 0;
      weight.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) pull);
      filter.setAtIndex(
          ValueLayout.JAVA_FLOAT, i, (float) (settings.filter() * held.strength()[i]));
    }
    var c = arena.allocate(ValueLayout.JAVA_FLOAT, (long) count * subspace.rank());
    long at = 0;
    for (int r = 0; r < held.counts().length; r++) {
      coefficients.copy(layer, held.examples().get(r), held.counts()[r], c, at);
      at += held.counts()[r];
    }
    var distances = arena.allocate(ValueLayout.JAVA_FLOAT, count);
    kernels.constrain(
        gradient,
        hidden,
        index(held.rows(), arena),
        subspace.basis(layer),
        Matrix.dense(c, count, subspace.rank(), DType.FLOAT32),
        filter,
        weight,
        distances);
    for (int i = 0; i < count; i++) {
      double distance = distances.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      add("subspace_penalty", held.strength()[i] * distance * update);
      if (stability > 0 && held.anchor()[i]) {
        add("subspace_stability", distance * stability);
      }
    }
  }

  /**
   * The anchors' cosines to each other. The kernel pulls a state to any target: to one against the
   * gradient.
   */
  private void keepGeometry(
      HeldTokens held, Matrix gradient, Matrix hidden, Shares shares, SegmentAllocator arena) {
    int n = held.last().size();
    int rank = subspace.rank();
    var rows = held.last().stream().mapToLong(i -> held.rows()[i]).toArray();
    var index = index(rows, arena);
    var s = arena.allocate(ValueLayout.JAVA_FLOAT, (long) n * rank);
    var projected = Matrix.dense(s, n, rank, DType.FLOAT32);
    kernels.project(hidden, index, subspace.basis(layer), projected);
    double[] centre = anchors.centre(layer);
    var now = new double[n][rank];
    var before = new double[n][];
    int anchor = 0;
    for (int r = 0; r < held.counts().length; r++) {
      if (held.counts()[r] == 0 || !Anchor.is(held.examples().get(r))) {
        continue;
      }
      double[][] reference = coefficients.of(layer, held.examples().get(r), held.counts()[r]);
      before[anchor] = reference[held.counts()[r] - 1];
      for (int k = 0; k < rank; k++) {
        before[anchor][k] -= centre[k];
        now[anchor][k] = s.getAtIndex(ValueLayout.JAVA_FLOAT, (long) anchor * rank + k) - centre[k];
      }
      anchor++;
    }
    var gram = new CosineGram(before);
    double share = (double) n / (shares.anchorPrompts() * subspace.layers().size());
    add("subspace_geometry", gram.distance(now) * share);
    double[][] slope = gram.gradient(now);
    var weight = arena.allocate(ValueLayout.JAVA_FLOAT, n);
    for (int i = 0; i < n; i++) {
      // A target near the state itself would leave few digits of the difference in float32: the
      // target is as far as the state is long, and the weight makes up for it.
      double ratio = Math.sqrt(square(slope[i]) / Math.max(square(now[i]), Double.MIN_NORMAL));
      weight.setAtIndex(
          ValueLayout.JAVA_FLOAT, i, (float) (settings.geometry() / 2 * share * ratio));
      for (int k = 0; k < rank; k++) {
        long at = (long) i * rank + k;
        double step = ratio == 0 ? 0 : slope[i][k] / ratio;
        double here = s.getAtIndex(ValueLayout.JAVA_FLOAT, at);
        s.setAtIndex(ValueLayout.JAVA_FLOAT, at, (float) (here - step));
      }
    }
    kernels.constrain(
        gradient, hidden, index, subspace.basis(layer), projected, null, weight, null);
  }

  private static double square(double[] row) {
    double sum = 0;
    for (double x : row) {
      sum += x * x;
    }
    return sum;
  }

  private static MemorySegment index(long[] rows, SegmentAllocator arena) {
    var index = arena.allocate(ValueLayout.JAVA_LONG, rows.length);
    MemorySegment.copy(rows, 0, index, ValueLayout.JAVA_LONG, 0, rows.length);
    return index;
  }

  private void add(String term, double value) {
    terms.merge(term, value, Double::sum);
  }
}
