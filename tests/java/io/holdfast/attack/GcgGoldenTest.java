package io.holdfast.attack;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.holdfast.Goldens;
import io.holdfast.checkpoint.Safetensors;
import io.holdfast.kernels.KernelBackends;
import io.holdfast.kernels.Kernels;
import io.holdfast.kernels.Matrix;
import io.holdfast.model.Decoder;
import io.holdfast.torch.LibTorch;
import io.holdfast.torch.Scope;
import io.holdfast.torch.Tensors;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** One step's gradient and losses are those of plain PyTorch. */
class GcgGoldenTest {
  private static final Kernels KERNELS = KernelBackends.select(Optional.empty());

  static Stream<Arguments> cases() {
    return Stream.of("llama-gqa", "gemma2")
        .flatMap(model -> Stream.of("ce", "mellowmax").map(loss -> Arguments.of(model, loss)));
  }

  private static TargetLoss loss(String name, JsonNode golden) {
    return name.equals("ce")
        ? new TargetLoss.CrossEntropy()
        : new TargetLoss.Mellowmax(golden.get("alpha").asDouble());
  }

  private static AttackPrompt prompt(JsonNode golden) {
    return new AttackPrompt(
        "golden",
        "",
        "",
        Goldens.ints(golden.get("before")),
        Goldens.ints(golden.get("after")),
        Goldens.ints(golden.get("target")));
  }

  private static List<int[]> candidates(JsonNode golden) {
    var candidates = new ArrayList<int[]>();
    golden.get("candidates").forEach(ids -> candidates.add(Goldens.ints(ids)));
    return candidates;
  }

  @ParameterizedTest
  @MethodSource("cases")
  void gradientByOneHotVectors(String model, String loss) {
    var golden = Goldens.json(Goldens.path("attack/" + model + ".json"));
    try (var decoder = Decoder.load(Goldens.path("model/" + model));
        var expected = Safetensors.open(Goldens.path("attack/" + model + ".safetensors"));
        var scope = Scope.open()) {
      var gradient =
          new TokenGradient(decoder, KERNELS, prompt(golden), loss(loss, golden))
              .at(Goldens.ints(golden.get("string")));
      Goldens.assertCloseRelative(
          "gradient", Goldens.floats(expected, "gradient/" + loss), Tensors.floats(gradient), 1e-4);
    }
  }

  /** In one batch, and in batches of every size down to one row: the cache must not be felt. */
  @ParameterizedTest
  @MethodSource("cases")
  void lossesOfCandidates(String model, String loss) {
    var golden = Goldens.json(Goldens.path("attack/" + model + ".json"));
    try (var decoder = Decoder.load(Goldens.path("model/" + model));
        var expected = Safetensors.open(Goldens.path("attack/" + model + ".safetensors"))) {
      for (int tokens : new int[] {4096, 64, 30, 1}) {
        try (var scorer =
            new CandidateScorer(decoder, KERNELS, prompt(golden), loss(loss, golden), tokens)) {
          for (int[] parent : List.of(Goldens.ints(golden.get("string")), new int[0])) {
            double[] losses = scorer.losses(parent, candidates(golden));
            float[] values = new float[losses.length];
            for (int i = 0; i < values.length; i++) {
              values[i] = (float) losses[i];
            }
            Goldens.assertClose(
                "losses in batches of " + tokens,
                Goldens.floats(expected, "losses/" + loss),
                values,
                1e-4);
          }
        }
      }
    }
  }

  /** Where memory does not suffice, half as many rows are read at a time, and half of these. */
  @Test
  void halvesAndRetries() {
    var real =
        assertThrows(
            RuntimeException.class,
            () -> {
              try (var scope = Scope.open()) {
                Tensors.empty(1L << 55);
              }
            });
    assertTrue(LibTorch.outOfMemory(real), real.getMessage());
    var golden = Goldens.json(Goldens.path("attack/llama-gqa.json"));
    int target = golden.get("target").size();
    var rows = new ArrayList<Long>();
    var scarce =
        (Kernels)
            Proxy.newProxyInstance(
                Kernels.class.getClassLoader(),
                new Class<?>[] {Kernels.class},
                (proxy, method, arguments) -> {
                  long asked = ((Matrix) arguments[0]).rows() / target;
                  rows.add(asked);
                  if (asked > 3) {
                    throw new RuntimeException(real.getMessage());
                  }
                  return method.invoke(KERNELS, arguments);
                });
    try (var decoder = Decoder.load(Goldens.path("model/llama-gqa"));
        var expected = Safetensors.open(Goldens.path("attack/llama-gqa.safetensors"));
        var scorer =
            new CandidateScorer(
                decoder, scarce, prompt(golden), new TargetLoss.CrossEntropy(), 4096)) {
      double[] losses = scorer.losses(Goldens.ints(golden.get("string")), candidates(golden));
      float[] wanted = Goldens.floats(expected, "losses/ce");
      for (int i = 0; i < losses.length; i++) {
        assertEquals(wanted[i], losses[i], 1e-4);
      }
      assertEquals(List.of(10L, 5L, 2L, 2L, 2L, 2L, 2L), rows);
    }
  }

  /** The loss that comes with a gradient is the one that candidates are compared by. */
  @ParameterizedTest
  @MethodSource("cases")
  void lossOfTheGradient(String model, String loss) {
    var golden = Goldens.json(Goldens.path("attack/" + model + ".json"));
    try (var decoder = Decoder.load(Goldens.path("model/" + model));
        var scope = Scope.open()) {
      var random = Tensors.empty(5, decoder.architecture().hidden());
      random.uniform_(-1, 1, new org.bytedeco.pytorch.GeneratorOptional());
      int[] target = Goldens.ints(golden.get("target"));
      var head = new TargetHead(KERNELS, decoder, loss(loss, golden));
      assertEquals(head.losses(random, target)[0], head.gradient(random, target).loss(), 1e-6);
    }
  }
}
