package io.holdfast.geometry;

import io.holdfast.geometry.Quadrants.Reply;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What a model holds of a prompt, whatever it says (Zhao et al. 2025): {@code D(x) = mean over
 * layers of cos(h, mu_with) - cos(h, mu_without)} for the centroids of two classes. At the end of
 * the instruction with harmful and benign centroids, {@code D >= 0} flags harm; at the end of the
 * prompt with those of refused and answered prompts it foresees the reply.
 *
 * @param with centroids by slot of the residual stream
 * @param without the other class's
 */
public record LatentGuard(SortedMap<Integer, double[]> with, SortedMap<Integer, double[]> without) {
  /** The guard that reads harm, at the layers from one on. */
  public static LatentGuard ofHarm(LabelledStates states, int firstLayer) {
    var with = new TreeMap<Integer, double[]>();
    var without = new TreeMap<Integer, double[]>();
    int[] rows = states.labels().all();
    for (int layer : states.layers()) {
      if (layer >= firstLayer) {
        with.put(layer, Vectors.mean(states.asking(layer, rows, true)));
        without.put(layer, Vectors.mean(states.asking(layer, rows, false)));
      }
    }
    return new LatentGuard(with, without);
  }

  /** The guard that reads the reply. */
  public static LatentGuard ofRefusal(LabelledStates states, int firstLayer) {
    var with = new TreeMap<Integer, double[]>();
    var without = new TreeMap<Integer, double[]>();
    int[] rows = states.labels().all();
    for (int layer : states.layers()) {
      if (layer >= firstLayer) {
        with.put(layer, Vectors.mean(states.answered(layer, rows, Reply.REFUSED)));
        without.put(layer, Vectors.mean(states.answered(layer, rows, Reply.COMPLIED)));
      }
    }
    return new LatentGuard(with, without);
  }

  /** {@code D} of one prompt among states at the guard's own position. */
  public double score(PromptActivations states, int row) {
    double sum = 0;
    for (int layer : with.keySet()) {
      double[] h = states.at(layer)[row];
      sum += cosine(h, with.get(layer)) - cosine(h, without.get(layer));
    }
    return sum / with.size();
  }

  private static double cosine(double[] a, double[] b) {
    return Vectors.dot(a, b) / (Vectors.norm(a) * Vectors.norm(b));
  }
}
