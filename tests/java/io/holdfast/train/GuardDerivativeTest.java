package io.holdfast.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels.KlDirection;
import io.holdfast.torch.NoGrad;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.nio.file.Path;
import java.util.Optional;
import java.util.SplittableRandom;
import org.bytedeco.pytorch.Scalar;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The guards' closed-form gradients against the objective that they are the gradient of, by central
 * differences through the whole model along one direction of one weight.
 */
class GuardDerivativeTest {
  private static final double STEP = 2e-3;

  @TempDir Path temporary;

  @AfterEach
  void nothingLives() {
    assertEquals(0, Scope.live(), "scopes left open");
  }

  @ParameterizedTest
  @CsvSource({
    "kl, FORWARD, model.embed_tokens.weight",
    "kl, FORWARD, lm_head.weight",
    "kl, REVERSE, model.layers.1.self_attn.v_proj.weight",
    "kl, REVERSE, lm_head.weight",
    "subspace, FORWARD, model.embed_tokens.weight",
    "subspace, FORWARD, model.layers.0.mlp.down_proj.weight",
    "both, FORWARD, model.layers.0.self_attn.o_proj.weight",
    "both, REVERSE, model.layers.1.mlp.up_proj.weight"
  })
  void isTheSlopeOfTheObjective(String name, KlDirection direction, String weight) {
    var kernels = KernelBackends.select(Optional.empty());
    try (var window = TracedWindow.of(Trace.of(name), direction, kernels, temporary)) {
      float[] gradient = window.gradients().get(weight);
      float[] along = along(gradient);
      double expected = 0;
      for (int i = 0; i < along.length; i++) {
        expected += (double) along[i] * gradient[i];
      }
      move(window, weight, along, STEP);
      double above = window.objective();
      move(window, weight, along, -2 * STEP);
      double below = window.objective();
      double slope = (above - below) / (2 * STEP);
      assertTrue(Math.abs(expected) > 1e-2, "this direction says nothing: " + expected);
      assertEquals(1, slope / expected, 0.02);
    }
  }

  /** A random direction of length 1 that leans towards the gradient, so that there is a slope. */
  private static float[] along(float[] gradient) {
    var random = new SplittableRandom(4);
    double norm = norm(gradient);
    var along = new float[gradient.length];
    for (int i = 0; i < along.length; i++) {
      along[i] = (float) (gradient[i] / norm + random.nextGaussian() / Math.sqrt(along.length));
    }
    double length = norm(along);
    for (int i = 0; i < along.length; i++) {
      along[i] /= (float) length;
    }
    return along;
  }

  private static double norm(float[] values) {
    double sum = 0;
    for (float value : values) {
      sum += (double) value * value;
    }
    return Math.sqrt(sum);
  }

  private static void move(TracedWindow window, String weight, float[] along, double by) {
    try (var scope = Scope.open();
        var noGrad = NoGrad.on()) {
      var tensor = window.parameters().get(weight);
      tensor.add_(Tensors.of(along, Tensors.shape(tensor)), new Scalar(by));
    }
  }
}
