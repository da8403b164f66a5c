package io.holdfast.guard;

import io.holdfast.data.Example;
import io.holdfast.geometry.PromptActivations;
import io.holdfast.kernels.Matrix;
import io.holdfast.model.Decoder;
import java.lang.foreign.ValueLayout;
import java.util.List;

/** How far training has moved a model inside its safety subspace. */
public final class SubspaceDrift {
  private SubspaceDrift() {}

  /**
   * The mean over layers and prompts of {@code ||U^T (h - h_ref)|| / ||mean difference||} at the
   * end of the prompt: 1 says that the states have moved as far as harmful prompts lie from benign
   * ones.
   */
  public static double measure(
      Decoder model, Decoder reference, List<Example> prompts, SafetySubspace subspace) {
    var now = states(model, prompts, subspace);
    var before = states(reference, prompts, subspace);
    double sum = 0;
    for (int layer : subspace.layers()) {
      var basis = subspace.basis(layer);
      for (int i = 0; i < prompts.size(); i++) {
        sum +=
            Math.sqrt(
                squaredDistance(now.at(layer)[i], before.at(layer)[i], basis)
                    / subspace.scale(layer));
      }
    }
    return sum / (subspace.layers().size() * prompts.size());
  }

  private static PromptActivations states(
      Decoder model, List<Example> prompts, SafetySubspace subspace) {
    return PromptActivations.capture(model, prompts, subspace.layers(), Example::promptEnd);
  }

  private static double squaredDistance(double[] now, double[] before, Matrix basis) {
    double sum = 0;
    for (int k = 0; k < basis.columns(); k++) {
      double along = 0;
      for (int i = 0; i < now.length; i++) {
        along +=
            (now[i] - before[i])
                * basis.data().getAtIndex(ValueLayout.JAVA_FLOAT, i * basis.stride() + k);
      }
      sum += along * along;
    }
    return sum;
  }
}
