package io.holdfast.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** AdamW and the gradient norm against the reference. */
class OptimizerKernelsTest extends KernelCase {
  @ParameterizedTest
  @EnumSource(names = {"FLOAT32", "BFLOAT16", "FLOAT16"})
  void adamwWithEveryOption(DType dtype) {
    var expected = tensors(dtype);
    var actual = expected.stream().map(this::copy).toList();
    for (long step = 1; step <= 3; step++) {
      var constants = new AdamwStep(step, 1e-2, 0.9, 0.95, 1e-8, 0.7);
      reference.adamw(expected, constants);
      kernels.adamw(actual, constants);
    }
    for (int i = 0; i < expected.size(); i++) {
      assertClose("p", expected.get(i).parameter(), actual.get(i).parameter());
      assertClose("m", expected.get(i).firstMoment(), actual.get(i).firstMoment());
      assertClose("v", expected.get(i).secondMoment(), actual.get(i).secondMoment());
    }
  }

  @Test
  void normOfMany() {
    var gradients = List.of(matrix(1, 1, 0, 1), matrix(7, 50_001, 3, 1), matrix(0, 5, 0, 1));
    double expected = reference.norm(gradients);
    assertEquals(1, kernels.norm(gradients) / expected, 1e-6);
    assertEquals(0, kernels.norm(List.of()));
    set(gradients.get(1), 3, 49_999, Float.NaN);
    assertTrue(Double.isNaN(kernels.norm(gradients)));
    set(gradients.get(1), 3, 49_999, Float.NEGATIVE_INFINITY);
    assertEquals(Double.POSITIVE_INFINITY, kernels.norm(gradients));
  }
}
